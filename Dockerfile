# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
# zlib-ng is built with cmake, jemalloc with make; SQLite, ring and zstd need a C compiler.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src ./src
COPY benches ./benches
COPY patches ./patches
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin sallyport && cp target/release/sallyport /usr/local/bin/sallyport
RUN install -d -m 0700 /data

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/sallyport /usr/local/bin/sallyport
# The default store, data/sallyport.db, lies in the volume, because the working directory is /.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /
USER 65532:65532
VOLUME /data
ENV SALLYPORT_CONFIG=/etc/sallyport/sallyport.yaml
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/usr/local/bin/sallyport", "health"]
ENTRYPOINT ["/usr/local/bin/sallyport"]
CMD ["run"]
