# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
# zlib-ng is built with cmake, jemalloc with make; SQLite, ring and zstd need a C compiler.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src ./src
COPY benches ./benches
COPY patches ./patches
# The caches keep what the dependencies were compiled to. Cargo trusts times, and those of a checkout may be older than a
# cached build of another version, so our own sources count as changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    find src patches -name '*.rs' -exec touch {} + \
    && cargo build --locked --release --bin sallyport && cp target/release/sallyport /usr/local/bin/sallyport
# All of the image: the program, the libraries that it names, certificates, and from which Debian packages they are, in
# the place where scanners look. No shell, no package manager.
WORKDIR /image
RUN mkdir -p usr/local/bin etc/ssl/certs var/lib/dpkg/status.d tmp && chmod 1777 tmp && install -d -m 0700 -o 65532 -g 65532 data \
    && cp /usr/local/bin/sallyport usr/local/bin/ \
    && ldd usr/local/bin/sallyport | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} . \
    && cp -L /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
    && cp -L /etc/os-release /etc/debian_version etc/ \
    && echo 'sallyport:x:65532:65532::/:/usr/sbin/nologin' > etc/passwd && echo 'sallyport:x:65532:' > etc/group \
    && echo 'hosts: files dns' > etc/nsswitch.conf \
    && for package in libc6 libgcc-s1 ca-certificates; do dpkg -s "$package" > "var/lib/dpkg/status.d/$package"; done

FROM scratch
COPY --from=build /image /
WORKDIR /
# By number, so that a platform can see that it is not root. The default store, data/sallyport.db, lies in the volume.
USER 65532:65532
VOLUME /data
ENV SALLYPORT_CONFIG=/etc/sallyport/sallyport.yaml SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/usr/local/bin/sallyport", "health"]
ENTRYPOINT ["/usr/local/bin/sallyport"]
CMD ["run"]
