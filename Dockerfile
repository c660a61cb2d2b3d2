# The binary `kurier` as an image: built in one stage, run in another that has nothing else.
# Debian's OpenSSL instead of one compiled in: ca-certificates brings it anyway, and it is mended without a new build.
ARG DEBIAN=bookworm-slim
ARG RUST=1.95-slim-bookworm

FROM rust:${RUST} AS build
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends g++ libssl-dev make perl pkg-config \
 && rm -rf /var/lib/apt/lists/*
ENV OPENSSL_NO_VENDOR=1 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /kurier

# What changes rarely first: every dependency, compiled for a workspace without code.
COPY Cargo.toml Cargo.lock ./
COPY crates/kurier/Cargo.toml crates/kurier/
COPY crates/kurier-broker/Cargo.toml crates/kurier-broker/
COPY crates/kurier-cli/Cargo.toml crates/kurier-cli/
COPY crates/kurier-dashboard/Cargo.toml crates/kurier-dashboard/
COPY fuzz/Cargo.toml fuzz/
COPY tests/Cargo.toml tests/
RUN for member in crates/kurier crates/kurier-broker crates/kurier-dashboard fuzz tests; do mkdir $member/src && touch $member/src/lib.rs; done \
 && mkdir crates/kurier-cli/src tests/tests && touch tests/tests/long.rs \
 && echo 'fn main() {}' >crates/kurier-cli/src/main.rs \
 && cargo build --release --locked --package kurier-cli

COPY examples/data examples/data
COPY crates crates
# Cargo goes by times, and the sources may be older than the empty ones.
RUN find crates -name '*.rs' -exec touch {} + && cargo build --release --locked --package kurier-cli

FROM debian:${DEBIAN}
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libssl3 \
 && apt-get clean && rm -rf /var/cache/apt/* /var/lib/apt/lists/*
COPY --from=build /kurier/target/release/kurier /usr/local/bin/
# A number, so that a supervisor that forbids root can tell.
USER 65532:65532
# Of `produce` and `consume` with `--metrics 0.0.0.0:9464`. For another command: `docker run --no-healthcheck`.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["kurier", "probe", "live", "127.0.0.1:9464"]
ENTRYPOINT ["kurier"]
CMD ["--help"]
