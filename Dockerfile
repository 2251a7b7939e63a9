# Only Runboard, with its embedded engine unless INNGEST_ variables are set. compose.yaml combines it with Inngest.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --bin runboard

FROM debian:bookworm-slim
# Certificates for Inngest's cloud, and for files at https addresses.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home runboard \
    && install -d -o runboard -g runboard -m 700 /data
COPY --from=build /src/target/dist/runboard /usr/local/bin/runboard
USER runboard
ENV RUNBOARD_LISTEN=0.0.0.0:8080 RUNBOARD_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["runboard"]
