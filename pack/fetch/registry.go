package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"slipway/pack"
)

// A pack in a registry is an image manifest with one layer, the bundle, as OPA's own
// downloader reads it: config application/vnd.oci.image.config.v1+json, layer
// application/vnd.oci.image.layer.v1.tar+gzip.
const (
	layerType  = ocispec.MediaTypeImageLayerGzip
	configType = ocispec.MediaTypeImageConfig

	// What conftest pushes: loose files, without a version and a signature.
	conftestLayer = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"

	maxManifest = 1 << 20
)

func (o Options) repository(source string) (*remote.Repository, registry.Reference, error) {
	raw := strings.TrimPrefix(source, ociScheme)
	ref, err := registry.ParseReference(raw)
	if err != nil || ref.Reference == "" {
		return nil, ref, &Fault{Source: withoutSecret(source), What: "this is not an artifact in a registry", Help: "Write oci://registry.example/packs/mine:1.2.0, with a tag or a digest."}
	}
	r, err := remote.NewRepository(raw)
	if err != nil {
		return nil, ref, &Fault{Source: source, What: "this is not an artifact in a registry", Err: err}
	}
	host, _, _ := strings.Cut(ref.Host(), ":")
	if strings.HasPrefix(ref.Host(), "[") {
		host, _, _ = strings.Cut(strings.TrimPrefix(ref.Host(), "["), "]")
	}
	r.PlainHTTP = o.PlainHTTP || loopback(host)
	// Passwords stay where docker login put them, at best in a credential helper.
	var store credentials.Store
	if o.DockerConfig != "" {
		store, err = credentials.NewStore(o.DockerConfig, credentials.StoreOptions{})
	} else {
		store, err = credentials.NewStoreFromDocker(credentials.StoreOptions{})
	}
	if err != nil {
		return nil, ref, &Fault{Source: source, What: "Docker's config.json, which holds the registries' credentials, cannot be read", Err: err}
	}
	client := &auth.Client{Client: o.client(), Credential: credentials.Credential(store), Cache: auth.NewCache(), Header: http.Header{}}
	if o.UserAgent != "" {
		client.SetUserAgent(o.UserAgent)
	}
	r.Client = client
	return r, ref, nil
}

func (o Options) registry(ctx context.Context, source string) ([]byte, error) {
	r, ref, err := o.repository(source)
	if err != nil {
		return nil, err
	}
	options := oras.DefaultFetchBytesOptions
	options.MaxBytes = maxManifest
	desc, raw, err := oras.FetchBytes(ctx, r, ref.Reference, options)
	if err != nil {
		return nil, &Fault{Source: source, What: "the registry does not give the artifact", Help: "Is its name and tag right? If the registry needs a login, run docker login.", Err: err}
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil || desc.MediaType != ocispec.MediaTypeImageManifest {
		return nil, &Fault{Source: source, What: fmt.Sprintf("it is a %s, not a pack", desc.MediaType)}
	}
	var layers []ocispec.Descriptor
	for _, l := range m.Layers {
		switch l.MediaType {
		case layerType:
			layers = append(layers, l)
		case conftestLayer:
			return nil, &Fault{Source: source, What: "it holds loose policies, as conftest push makes them, without a version and a signature", Help: "Build a pack of them: slipway pack build."}
		}
	}
	if len(layers) != 1 {
		return nil, &Fault{Source: source, What: fmt.Sprintf("it holds %d bundles instead of one", len(layers)), Help: "Publish packs with slipway pack publish, or as OPA's documentation says."}
	}
	if layers[0].Size > pack.MaxBundle {
		return nil, &Fault{Source: source, What: fmt.Sprintf("its bundle is larger than %d MiB", pack.MaxBundle>>20)}
	}
	src, err := content.FetchAll(ctx, r, layers[0]) // checks size and digest
	if err != nil {
		return nil, &Fault{Source: source, What: "the registry does not give the bundle", Err: err}
	}
	return src, nil
}

// created is the time in published manifests: the same pack gives the same manifest.
const created = "1970-01-01T00:00:00Z"

// Publish puts a bundle into a registry under a tag and returns the digest of its manifest.
func Publish(ctx context.Context, src []byte, p *pack.Pack, target string, o Options) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if !strings.HasPrefix(target, ociScheme) {
		return "", &Fault{Source: target, What: "packs are published to registries", Help: "Write oci://registry.example/packs/" + p.Name + ":" + p.Version + "."}
	}
	r, ref, err := o.repository(target)
	if err != nil {
		return "", err
	}
	failed := func(err error) error {
		return &Fault{Source: target, What: "the registry does not take the pack", Help: "May you write there? If it needs a login, run docker login.", Err: err}
	}
	layer, err := oras.PushBytes(ctx, r, layerType, src)
	if err != nil {
		return "", failed(err)
	}
	config, err := oras.PushBytes(ctx, r, configType, []byte("{}"))
	if err != nil {
		return "", failed(err)
	}
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: p.Name + ".tar.gz"}
	manifest, err := oras.PackManifest(ctx, r, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{
		Layers:           []ocispec.Descriptor{layer},
		ConfigDescriptor: &config,
		ManifestAnnotations: map[string]string{
			ocispec.AnnotationCreated: created, ocispec.AnnotationTitle: p.Title, ocispec.AnnotationVersion: p.Version,
		},
	})
	if err != nil {
		return "", failed(err)
	}
	if _, err := registry.ParseReference(ref.Registry + "/" + ref.Repository + "@" + ref.Reference); err == nil {
		return manifest.Digest.String(), nil // published by digest alone
	}
	if err := r.Tag(ctx, manifest, ref.Reference); err != nil {
		return "", failed(err)
	}
	return manifest.Digest.String(), nil
}
