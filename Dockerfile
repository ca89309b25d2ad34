# The service alone: Postgres is given by DATABASE_URL, Genesys by the GENESYS_ variables.
#
#   docker build -t genesys-purge .
#   docker run -p 8080:8080 -e DATABASE_URL=... -e GENESYS_BASE_URL=... -e GENESYS_CLIENT_ID=... \
#              -e GENESYS_CLIENT_SECRET=... --stop-timeout 60 genesys-purge
#
# A stop takes up to engine.shutdown_grace (30s) and ten seconds more. A worker (`serve --role worker`) listens too, for its
# health and its metrics alone, so the check below holds for it as well.

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Queries are checked against the committed .sqlx: there is no database to ask here.
ENV SQLX_OFFLINE=true

# The dependencies, in a layer of their own that lasts until a manifest changes. The stubs stand for the targets that
# Cargo.toml names by path.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it benches \
    && touch src/lib.rs tests/it/main.rs benches/accept.rs benches/arrivals.rs benches/attack.rs benches/conflicts.rs benches/deliveries.rs \
        benches/listeners.rs benches/makespan.rs benches/pages.rs benches/pickup.rs benches/reading.rs benches/report.rs benches/steering.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked

# The sources carry the times of the checkout, which may be older than the stubs' build: without the touch, cargo would
# take the stubs for up to date.
COPY . .
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked

FROM debian:bookworm-slim
# Not pinned: of certificates, the newest are the right ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 purge \
    && useradd --system --uid 10001 --gid purge --home-dir /app --shell /usr/sbin/nologin purge
COPY --from=build /src/target/release/genesys-purge /usr/local/bin/genesys-purge

# config/production.toml and the like are looked for here; uploads are spooled in /var/tmp.
WORKDIR /app
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001

# All addresses of the container. It wins over PORT: where the platform hands out a port, set this one to it.
ENV PURGE__SERVER__BIND=0.0.0.0:8080
EXPOSE 8080

# The image has no curl; bash can speak to a socket by itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/bin/bash", "-c", "\
exec 3<>\"/dev/tcp/127.0.0.1/${PURGE__SERVER__BIND##*:}\" \
&& printf 'GET /health/ready HTTP/1.0\\r\\n\\r\\n' >&3 \
&& read -r _ status _ <&3 \
&& [ \"$status\" = 200 ]"]

ENTRYPOINT ["genesys-purge"]
CMD ["serve"]
