#!/usr/bin/env bash
# Builds the image with buildah and runs it with runc, without a daemon and without fetching an image. Builds both base
# images from the installed Node. Skips, with the reason, on a system without these requirements.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "container: skipped, $1"; exit 0; }
[ "$(uname -s)" = Linux ] || skip 'requires Linux'
[ "$(id -u)" = 0 ] || skip 'requires root'
for tool in buildah runc npm; do command -v $tool >/dev/null || skip "$tool is not installed"; done

work=$(mktemp -d)
id=replikey-test-$$
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah() { timeout 300 buildah --root "$work/storage" --runroot "$work/run" "$@"; }
runc() { command runc --root "$work/runc" "$@"; }
cleanup() {
  runc delete --force "$id" >/dev/null 2>&1 || true
  buildah umount --all >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

passed=0
ok() { passed=$((passed + 1)); echo "container: ok, $1"; }
fail() { echo "container: FAILED, $1" >&2; exit 1; }

# --- Base images -----------------------------------------------------------------------------------------------------

# install_program ROOT PROGRAM...: copies programs and their shared libraries.
install_program() {
  local root=$1 file
  shift
  for file in "$@" $(ldd "$@" 2>/dev/null | grep -o '/[^ ):]*' | sort -u); do
    install -D "$(realpath "$file")" "$root$file"
  done
}

base_image() {
  local container
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$2" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
  buildah commit --quiet "$container" "localhost/$1" >/dev/null
  buildah rm "$container" >/dev/null
}

node=$(node -p process.execPath)
runtime=$work/runtime
install_program "$runtime" "$node"
[ "$node" = /usr/local/bin/node ] || { mkdir -p "$runtime/usr/local/bin" && mv "$runtime$node" "$runtime/usr/local/bin/node"; }
for folder in /etc/ssl/certs /usr/share/ca-certificates; do
  [ -d $folder ] && mkdir -p "$runtime$folder" && cp -a $folder/. "$runtime$folder"
done
cp -a "$runtime" "$work/builder"
install_program "$work/builder" /bin/sh /bin/cp /usr/bin/env
mkdir -p "$work/builder/tmp" "$work/builder/usr/local/lib" "$work/builder/root"
cp -aL "$(npm root --global 2>/dev/null)/npm" "$work/builder/usr/local/lib/npm"
cat >"$work/builder/usr/local/bin/npm" <<SH
#!/bin/sh
export HOME=/root NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
export npm_config_registry=$(npm config get registry 2>/dev/null) npm_config_prefer_offline=true npm_config_fetch_retries=1
exec node /usr/local/lib/npm/bin/npm-cli.js "\$@"
SH
chmod +x "$work/builder/usr/local/bin/npm"
base_image replikey-build-base "$work/builder"
base_image replikey-runtime-base "$runtime"

# --- The image -------------------------------------------------------------------------------------------------------

# npm in the build uses the npm cache of the host, and fetches other packages from the same registry.
mounts=(--volume "$(npm config get cache 2>/dev/null):/root/.npm")
[ -f "${HOME:-/root}/.npmrc" ] && mounts+=(--volume "${HOME:-/root}/.npmrc:/root/.npmrc:ro")
version=$(node -p 'require("./package.json").version')
# Images of the format of OCI have no health check.
buildah bud --quiet --format docker --pull-never "${mounts[@]}" \
  --build-arg BUILD_IMAGE=localhost/replikey-build-base --build-arg RUNTIME_IMAGE=localhost/replikey-runtime-base \
  --build-arg VERSION="$version" --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
  --tag localhost/replikey . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail 'build: the image does not build'; }
ok 'build: succeeds'

container=$(buildah from --pull-never localhost/replikey)
root=$(buildah mount "$container")
buildah inspect --type image localhost/replikey >"$work/image.json"
health_check=$(node -p "require('$work/image.json').Docker.config.Healthcheck.Test.slice(1).join('\n')")
image() { node -p "const {config} = require('$work/image.json').OCIv1; $1"; }

[ "$(image config.User)" = 65532:65532 ] || fail 'image: the user is not 65532'
[ "$(image 'config.Entrypoint.join(" ")')" = 'node /app/main.js' ] || fail 'image: the entry point is not reconcile'
for label in title description licenses version revision; do
  [ -n "$(image "config.Labels['org.opencontainers.image.$label'] ?? ''")" ] || fail "image: label $label is missing"
done
[ "$(image "config.Labels['org.opencontainers.image.version']")" = "$version" ] || fail 'image: the version label is wrong'
ok 'image: user, entry point and labels are set'

for file in LICENSE.txt THIRD-PARTY-LICENSES.txt main.js healthcheck.js; do [ -s "$root/app/$file" ] || fail "image: /app/$file is missing"; done
[ ! -e "$root/build" ] && [ ! -e "$root/app/node_modules" ] && [ ! -e "$root/app/src" ] || fail 'image: contains more than the bundle'
ok 'image: contains only the bundle and the licences'
echo "container: the image adds $(du -sh "$root/app" | cut -f1) to the runtime's $(du -sh "$runtime" | cut -f1)"

# --- The container ---------------------------------------------------------------------------------------------------

# bundle ARG...: creates a bundle with a read-only root, the user of the image, no capabilities, and specs/ mounted.
bundle() {
  mkdir -p "$work/bundle"
  rm -f "$work/bundle/config.json"
  runc spec --bundle "$work/bundle"
  ROOT=$root WORK=$work SPECS=$PWD/specs node - "$@" <<'JS'
const { readFileSync, writeFileSync } = require('node:fs');
const { ROOT, WORK, SPECS } = process.env;
const { config } = JSON.parse(readFileSync(`${WORK}/image.json`, 'utf8')).OCIv1;
const spec = JSON.parse(readFileSync(`${WORK}/bundle/config.json`, 'utf8'));
const [uid, gid] = config.User.split(':').map(Number);
spec.process = {
  ...spec.process,
  terminal: false,
  user: { uid, gid },
  args: [...config.Entrypoint, ...process.argv.slice(2)],
  env: config.Env,
  cwd: config.WorkingDir,
  capabilities: {},
  noNewPrivileges: true,
};
spec.root = { path: ROOT, readonly: true };
spec.mounts.push({ destination: '/work/specs', type: 'bind', source: SPECS, options: ['rbind', 'ro'] });
// Uses the loopback interface of the host, because it is down in a new network namespace.
spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'network');
writeFileSync(`${WORK}/bundle/config.json`, JSON.stringify(spec));
JS
}

run() {
  bundle "$@"
  runc run --bundle "$work/bundle" "$id" </dev/null
}

mkdir -p "$root/work/specs"
run --version | grep -qF "$version" || fail '--version: does not print the version'
ok '--version: prints the version'
run validate specs >"$work/out" 2>&1 || { cat "$work/out" >&2; fail 'validate: fails for the mounted specs'; }
ok 'validate: reads the mounted specs'

# health: runs the health check of the image in the container, without a shell.
health() { mapfile -t words <<<"$health_check"; runc exec "$id" "${words[@]}" >"$work/health" 2>&1; }

port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close() })")
bundle sandbox --port "$port"
runc run --bundle "$work/bundle" "$id" </dev/null >"$work/out" 2>&1 &
runner=$!
# until_true SECONDS COMMAND...: polls until the command succeeds.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.05; done
}
until_true 30 grep -q 127.0.0.1 "$work/out" || { cat "$work/out" >&2; fail 'sandbox: does not start'; }
pid=$(runc state "$id" | node -p 'JSON.parse(require("fs").readFileSync(0)).pid')
[ "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" = 65532 ] || fail 'sandbox: does not run as 65532'
ok 'sandbox: runs as 65532'
runc exec "$id" node -e 'try { fs.writeFileSync("/app/x", ""); process.exit(1) } catch (e) { process.exit(e.code === "EROFS" ? 0 : 2) }' \
  || fail 'sandbox: the root is not read-only'
ok 'sandbox: runs on a read-only root'
health || { cat "$work/health" >&2; fail 'sandbox: the health check fails'; }
grep -q "127.0.0.1:$port/_sandbox/health: HTTP 200" "$work/health" || fail 'sandbox: the health check does not check the sandbox'
kill -STOP "$pid"
! health || fail 'sandbox: the health check passes for a process that does not respond'
kill -CONT "$pid"
ok 'sandbox: the health check passes while it responds, and fails otherwise'
runc kill "$id" TERM
until_true 10 eval '! kill -0 $runner 2>/dev/null' || fail 'sandbox: does not exit within ten seconds of SIGTERM'
status=0
wait $runner || status=$?
[ $status = 143 ] || fail "sandbox: exits with $status instead of 143 on SIGTERM"
ok 'sandbox: exits with 143 on SIGTERM'
echo "container: $passed checks passed"
