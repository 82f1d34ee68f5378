# The build image needs Node and npm, the runtime image only Node, each on the PATH. Any such image works.
ARG BUILD_IMAGE=node:26-bookworm-slim
ARG RUNTIME_IMAGE=node:26-alpine

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY LICENSE tsconfig.json ./
COPY scripts scripts
COPY src src
COPY docs docs
RUN npm run build && cp LICENSE dist/LICENSE.txt

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="replikey" \
      org.opencontainers.image.description="Reconciles S3 replication of KMS-encrypted objects" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The bundle with the licences of replikey and its dependencies. At run time, replikey writes only to given paths.
COPY --from=build /build/dist /app/
ENV NODE_ENV=production
# Mount point for specs; paths are relative to it: `reconcile --once specs`.
WORKDIR /work
# A numeric user: with runAsNonRoot, Kubernetes cannot verify a user name.
USER 65532:65532
# The image has no shell. The check reads the address of the health endpoint (--health-listen, or --listen) from the command
# line of replikey. A command that serves none, such as `--once`, is healthy while it runs.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=4 CMD ["node", "/app/healthcheck.js"]
# No shell and no init: replikey runs as PID 1, and every command handles SIGTERM and SIGINT.
ENTRYPOINT ["node", "/app/main.js"]
CMD ["--help"]
