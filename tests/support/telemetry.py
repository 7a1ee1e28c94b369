"""Reads what the gateway tells about itself with the parsers that others read it with.

telemetry.py metrics < text     the exposition, by Prometheus's own client library; JSON on standard output
telemetry.py collector          an OTLP collector on a free port: prints the port, then every message as a line of JSON
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def metrics(text):
    from prometheus_client.parser import text_string_to_metric_families

    return [
        {"name": sample.name, "type": family.type, "labels": sample.labels, "value": sample.value}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ] + [
        {"name": family.name + ("_total" if family.type == "counter" else ""), "type": family.type, "labels": {}, "value": None}
        for family in text_string_to_metric_families(text)
    ]


def attributes(pairs):
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}


def spans(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "signal": "span", "service": service, "name": span.name, "kind": span.kind,
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                    "links": [link.trace_id.hex() for link in span.links],
                    "status": span.status.code, "attributes": attributes(span.attributes),
                }


def logs(body):
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield {
                    "signal": "log", "event": record.event_name, "body": record.body.string_value,
                    "severity": record.severity_number, "time": record.time_unix_nano, "trace": record.trace_id.hex(),
                    "attributes": attributes(record.attributes),
                }


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        read = {"/v1/traces": spans, "/v1/logs": logs}.get(self.path)
        right = read and self.headers["Content-Type"] == "application/x-protobuf" and self.headers["X-Key"] == "let me in"
        for item in read(body) if right else [{"signal": "wrong", "path": self.path}]:
            print(json.dumps(item), flush=True)
        self.send_response(200 if right else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if sys.argv[1] == "metrics":
    print(json.dumps(metrics(sys.stdin.read())))
else:
    server = HTTPServer(("127.0.0.1", 0), Collector)
    print(server.server_port, flush=True)
    server.serve_forever()
