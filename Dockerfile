# The build image needs Node and npm, the runtime image Node alone, both on the PATH: any such image will do.
ARG BUILD_IMAGE=node:26-bookworm-slim
ARG RUNTIME_IMAGE=node:26-alpine

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY LICENSE tsconfig.json ./
COPY scripts scripts
COPY src src
RUN npm run build && cp LICENSE dist/LICENSE.txt

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="replikey" \
      org.opencontainers.image.description="Keeps S3 replication of KMS-encrypted objects correct" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The bundle, its licence and those of what is bundled; nothing is written at run time but where a path is given.
COPY --from=build /build/dist /app/
ENV NODE_ENV=production
# Specs are mounted here, and named relative to it: `reconcile --once specs`.
WORKDIR /work
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# No shell and no init: the process is its own first one, and every command handles SIGTERM and SIGINT.
ENTRYPOINT ["node", "/app/main.js"]
CMD ["--help"]
