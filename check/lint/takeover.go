package lint

// claimable are services at which a customer chooses a name, and another
// customer may choose it once it is free: names pointing there can be taken over
// when what they point at is given up. suffix is of the CNAME's target; part, when
// not empty, must be in it as well.
var claimable = []struct{ suffix, part, service, reason string }{
	{".amazonaws.com", ".s3", "Amazon S3", bucket},
	{".amazonaws.com", "s3-website", "Amazon S3", bucket},
	{".elasticbeanstalk.com", "", "AWS Elastic Beanstalk", free},
	{".cloudfront.net", "", "Amazon CloudFront", detached},
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
}

// Why each kind is dangerous.
const (
	bucket   = "When the storage there is deleted, anybody can create storage of the same name and answer here."
	free     = "When the service there is deleted, anybody can create one of the same name and answer here."
	detached = "When the service there no longer claims this name, any other customer can claim it and answer here."
	pages    = "When the pages there are deleted or no longer claim this name, anybody can publish pages that do."
)
