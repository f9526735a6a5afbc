package lint

import (
	"strings"

	"slipway/zone"
)

// claimable are services at which a customer chooses a name, and another
// customer may choose it once it is free: names pointing there can be taken over
// when what they point at is given up. suffix is of the CNAME's target; part, when
// not empty, must be in it as well. Amazon CloudFront is not among them: since 2019 it takes a name only from who has a
// certificate for it.
var claimable = []struct{ suffix, part, service, reason string }{
	{".amazonaws.com", ".s3", "Amazon S3", bucket},
	{".amazonaws.com", "s3-website", "Amazon S3", bucket},
	{".elasticbeanstalk.com", "", "AWS Elastic Beanstalk", free},
	{".azurewebsites.net", "", "Azure App Service", free},
	{".cloudapp.net", "", "Azure", free},
	{".cloudapp.azure.com", "", "Azure", free},
	{".trafficmanager.net", "", "Azure Traffic Manager", free},
	{".azureedge.net", "", "Azure CDN", free},
	{".azurefd.net", "", "Azure Front Door", detached},
	{".blob.core.windows.net", "", "Azure Storage", bucket},
	{".web.core.windows.net", "", "Azure Storage", bucket},
	{".azurestaticapps.net", "", "Azure Static Web Apps", detached},
	{".azure-api.net", "", "Azure API Management", free},
	{".storage.googleapis.com", "", "Google Cloud Storage", bucket},
	{".appspot.com", "", "Google App Engine", detached},
	{".web.app", "", "Firebase Hosting", detached},
	{".firebaseapp.com", "", "Firebase Hosting", detached},
	{".herokuapp.com", "", "Heroku", free},
	{".herokudns.com", "", "Heroku", detached},
	{".github.io", "", "GitHub Pages", pages},
	{".gitlab.io", "", "GitLab Pages", pages},
	{".bitbucket.io", "", "Bitbucket", pages},
	{".readthedocs.io", "", "Read the Docs", pages},
	{".netlify.app", "", "Netlify", detached},
	{".netlify.com", "", "Netlify", detached},
	{".vercel.app", "", "Vercel", detached},
	{".vercel-dns.com", "", "Vercel", detached},
	{".pages.dev", "", "Cloudflare Pages", pages},
	{".fastly.net", "", "Fastly", detached},
	{".fly.dev", "", "Fly.io", free},
	{".onrender.com", "", "Render", free},
	{".surge.sh", "", "Surge", free},
	{".myshopify.com", "", "Shopify", detached},
	{".squarespace.com", "", "Squarespace", detached},
	{".webflow.io", "", "Webflow", detached},
	{".wordpress.com", "", "WordPress.com", detached},
	{".ghost.io", "", "Ghost", free},
	{".zendesk.com", "", "Zendesk", free},
	{".freshdesk.com", "", "Freshdesk", free},
	{".helpscoutdocs.com", "", "Help Scout", free},
	{".statuspage.io", "", "Statuspage", detached},
	{".unbouncepages.com", "", "Unbounce", detached},
	{".hubspot.net", "", "HubSpot", detached},
	{".azurecontainer.io", "", "Azure Container Instances", free},
	{".azurecontainerapps.io", "", "Azure Container Apps", detached},
	{".azurecr.io", "", "Azure Container Registry", free},
	{".azurehdinsight.net", "", "Azure HDInsight", free},
	{".database.windows.net", "", "Azure SQL", free},
	{".redis.cache.windows.net", "", "Azure Cache", free},
	{".search.windows.net", "", "Azure Search", free},
	{".servicebus.windows.net", "", "Azure Service Bus", free},
	{".file.core.windows.net", "", "Azure Storage", bucket},
	{".awsapprunner.com", "", "AWS App Runner", detached},
	{".amplifyapp.com", "", "AWS Amplify", detached},
	{".amazonaws.com", "execute-api", "Amazon API Gateway", detached},
	{".run.app", "", "Google Cloud Run", detached},
	{"ghs.googlehosted.com", "", "Google Sites and App Engine", detached},
	{".ondigitalocean.app", "", "DigitalOcean App Platform", detached},
	{".digitaloceanspaces.com", "", "DigitalOcean Spaces", bucket},
	{".linodeobjects.com", "", "Linode Object Storage", bucket},
	{".backblazeb2.com", "", "Backblaze B2", bucket},
	{".aliyuncs.com", "oss", "Alibaba Cloud OSS", bucket},
	{".myqcloud.com", "cos", "Tencent Cloud Object Storage", bucket},
	{".r2.dev", "", "Cloudflare R2", bucket},
	{".workers.dev", "", "Cloudflare Workers", free},
	{".netlifyglobalcdn.com", "", "Netlify", detached},
	{".gitbook.io", "", "GitBook", detached},
	{".readme.io", "", "ReadMe", detached},
	{".readmessl.com", "", "ReadMe", detached},
	{".deno.dev", "", "Deno Deploy", detached},
	{".replit.app", "", "Replit", free},
	{".repl.co", "", "Replit", free},
	{".up.railway.app", "", "Railway", detached},
	{".ngrok.io", "", "ngrok", free},
	{".ngrok.app", "", "ngrok", free},
	{".pantheonsite.io", "", "Pantheon", detached},
	{".wpengine.com", "", "WP Engine", detached},
	{".kinsta.cloud", "", "Kinsta", detached},
	{"domains.tumblr.com", "", "Tumblr", detached},
	{".bigcartel.com", "", "Big Cartel", free},
	{".cargocollective.com", "", "Cargo", detached},
	{".strikinglydns.com", "", "Strikingly", detached},
	{".wixdns.net", "", "Wix", detached},
	{".launchrock.com", "", "LaunchRock", free},
	{".myjetbrains.com", "", "JetBrains YouTrack", free},
	{".helpjuice.com", "", "Helpjuice", free},
	{".intercom.help", "", "Intercom", detached},
	{".uservoice.com", "", "UserVoice", free},
	{".canny.io", "", "Canny", detached},
	{".uberflip.com", "", "Uberflip", detached},
	{".thinkific.com", "", "Thinkific", free},
	{".teamwork.com", "", "Teamwork", free},
	{".createsend.com", "", "Campaign Monitor", detached},
	{".getresponse.com", "", "GetResponse", detached},
	{"stats.uptimerobot.com", "", "UptimeRobot", detached},
	{"stats.pingdom.com", "", "Pingdom", detached},
	{".hatenablog.com", "", "Hatena Blog", free},
	{".surveysparrow.com", "", "SurveySparrow", free},
	{".smugmug.com", "", "SmugMug", detached},
	{".worksites.net", "", "Worksites", detached},
}

// claimedForGood reports whether a name at such a service is of a form that the service gives to one customer alone, or
// takes for only with a proof in the customer's DNS.
func claimedForGood(target zone.Name) bool {
	labels := target.Labels()
	switch {
	case len(labels) < 4:
		return false
	case target.In("azurefd.net"): // shop-fug4hfanetgdf6cz.z01.azurefd.net: Front Door asks for a TXT record at _dnsauth
		return strings.HasPrefix(labels[len(labels)-3], "z")
	case target.In("azurewebsites.net"): // shop-a6gqaeashthkhkeu.uksouth-01.azurewebsites.net: the hash is the customer's
		return strings.Contains(labels[len(labels)-3], "-")
	}
	return false
}

// Why each kind is dangerous.
const (
	bucket   = "When the storage there is deleted, anybody can create storage of the same name and answer here."
	free     = "When the service there is deleted, anybody can create one of the same name and answer here."
	detached = "When the service there no longer claims this name, any other customer can claim it and answer here."
	pages    = "When the pages there are deleted or no longer claim this name, anybody can publish pages that do."
)

// openServers are the name servers of DNS providers at which any customer can create a zone of any
// name. prefix and suffix are of the server's name.
var openServers = []struct{ prefix, suffix, provider string }{
	{"", ".azure-dns.com", "Azure DNS"}, {"", ".azure-dns.net", "Azure DNS"}, {"", ".azure-dns.org", "Azure DNS"}, {"", ".azure-dns.info", "Azure DNS"},
	{"ns-cloud-", ".googledomains.com", "Google Cloud DNS"},
	{"", ".digitalocean.com", "DigitalOcean"},
	{"", ".linode.com", "Linode"},
	{"", ".vultr.com", "Vultr"},
	{"", ".hetzner.com", "Hetzner"}, {"", ".hetzner.de", "Hetzner"},
	{"", ".he.net", "Hurricane Electric"},
	{"", ".dnsimple.com", "DNSimple"}, {"", ".dnsimple-edge.net", "DNSimple"}, {"", ".dnsimple-edge.org", "DNSimple"},
	{"", ".nsone.net", "NS1"},
	{"", ".dnsmadeeasy.com", "DNS Made Easy"},
	{"", ".ns.cloudflare.com", "Cloudflare"},
	{"", ".domaincontrol.com", "GoDaddy"},
	{"", ".dreamhost.com", "DreamHost"},
	{"", ".registrar-servers.com", "Namecheap"},
	{"", ".scaleway.com", "Scaleway"},
	{"", ".bunny.net", "bunny.net"},
	{"", ".vercel-dns.com", "Vercel"},
	{"", ".zoneedit.com", "Zoneedit"},
	{"", ".cloudns.net", "ClouDNS"},
	{"", ".easydns.com", "easyDNS"},
	{"", ".name.com", "Name.com"},
	{"", ".wordpress.com", "WordPress.com"},
	{"", ".yandexcloud.net", "Yandex Cloud"},
	{"", ".hichina.com", "Alibaba Cloud DNS"}, {"", ".alidns.com", "Alibaba Cloud DNS"},
	{"", ".dnspod.net", "DNSPod"},
}

// openProvider says at which provider a name server serves zones for anybody, "" for none.
func openProvider(server zone.Name) string {
	labels := server.Labels()
	if len(labels) >= 3 && strings.HasPrefix(labels[0], "ns-") && strings.HasPrefix(labels[1], "awsdns-") {
		return "Amazon Route 53"
	}
	for _, o := range openServers {
		if strings.HasPrefix(string(server), o.prefix) && strings.HasSuffix(string(server), o.suffix) {
			return o.provider
		}
	}
	return ""
}

// delegationTakeover finds zone cuts to such providers for zones that slipway.yaml does not know.
func delegationTakeover(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "NS" || r.Name == z || p.head.ours[r.Name] {
		return nil
	}
	for _, t := range targets(r) {
		if provider := openProvider(t); provider != "" {
			p.reportSet(r, "%s is delegated to %s, where any customer can create a zone of that name, and slipway.yaml does not say that the zone is ours.", r.Name.Unicode(), provider)
			return nil // one is enough to say so
		}
	}
	return nil
}
