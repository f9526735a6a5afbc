package forward

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdk "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"

	"slipway/audit"
	"slipway/internal/part"
)

// otlp sends OpenTelemetry log records over OTLP/HTTP. Each is an event by the logs data
// model: the action is its event name, the signed event its body.
type otlp struct {
	exporter *otlploghttp.Exporter
	logger   log.Logger
	made     *collect
	origin   string
	format   format
}

// collect is the end of the SDK's own way: it keeps the records, so that they are
// exported here, where an error can be seen and acted on.
type collect struct{ records []sdk.Record }

func (c *collect) OnEmit(_ context.Context, r *sdk.Record) error {
	c.records = append(c.records, r.Clone())
	return nil
}
func (c *collect) Enabled(context.Context, sdk.EnabledParameters) bool { return true }
func (c *collect) Shutdown(context.Context) error                      { return nil }
func (c *collect) ForceFlush(context.Context) error                    { return nil }

// otlpSeverity is SeverityNumber of the logs data model.
var otlpSeverity = map[severity]log.Severity{informational: log.SeverityInfo, notice: log.SeverityInfo2, warning: log.SeverityWarn, alarm: log.SeverityError}

func openOTLP(ctx context.Context, in *part.Reader, o Options) func() (sink, error) {
	address := in.URL("url")
	token := in.Secret(ctx, "token", false)
	config := tlsOf(ctx, in)
	out := &otlp{made: &collect{}, origin: o.Origin, format: formatOf(in, "event")}
	return func() (sink, error) {
		options := []otlploghttp.Option{
			otlploghttp.WithEndpointURL(address.String()), otlploghttp.WithTimeout(sendTimeout),
			otlploghttp.WithCompression(otlploghttp.GzipCompression),
			// What fails is tried again by the destination, which also says so.
			otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: false}),
		}
		if address.Scheme == "https" {
			options = append(options, otlploghttp.WithTLSClientConfig(config))
		}
		if token.Reveal() != "" {
			options = append(options, otlploghttp.WithHeaders(map[string]string{"Authorization": "Bearer " + token.Reveal()}))
		}
		exporter, err := otlploghttp.New(ctx, options...)
		if err != nil {
			return nil, fmt.Errorf("OpenTelemetry exporter: %w", err)
		}
		out.exporter = exporter
		provider := sdk.NewLoggerProvider(sdk.WithProcessor(out.made), sdk.WithAttributeCountLimit(-1), sdk.WithAttributeValueLengthLimit(-1),
			sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "slipway"), attribute.String("slipway.log.origin", o.Origin))))
		out.logger = provider.Logger("slipway/audit")
		return out, nil
	}
}

func (o *otlp) send(ctx context.Context, events []audit.Receipt) error {
	o.made.records = o.made.records[:0]
	for _, r := range events {
		body, err := o.format(o.origin, r)
		if err != nil {
			return err
		}
		e := &r.Event
		var record log.Record
		record.SetEventName("slipway." + string(e.Action))
		record.SetTimestamp(e.Timestamp)
		record.SetSeverity(otlpSeverity[kinds[e.Action].severity])
		record.SetBody(attribute.StringValue(string(body)))
		attributes := []attribute.KeyValue{
			attribute.String("event.id", e.EventID), attribute.Int64("slipway.log.index", int64(r.Index)), attribute.String("user.name", e.Actor.ID), attribute.String("slipway.message", sentence(e)),
		}
		for name, value := range ocsfUnmapped(e) {
			if text, ok := value.(string); ok {
				attributes = append(attributes, attribute.String("slipway."+name, text))
			}
		}
		record.AddAttributes(attributes...)
		o.logger.Emit(ctx, record)
	}
	return o.exporter.Export(ctx, o.made.records)
}

func (o *otlp) unsettled() (uint64, bool, time.Duration) { return 0, false, 0 }

func (o *otlp) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return o.exporter.Shutdown(ctx)
}
