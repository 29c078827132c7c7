#!/usr/bin/env bash
# A Docker engine with compose v2, and the base images of this project, on a Debian 12 machine that reaches no image
# registry: all of it from Debian's packages. Idempotent; needs root. Where an engine answers, that one is used.
#
#   engine.sh up       install what is missing, start dockerd, wait until it answers
#   engine.sh images   local stand-ins for debian:bookworm-slim, python:3.11-slim, postgres:17 with pgvector, and Prometheus
#   engine.sh all      up + images                                    (default)
#   engine.sh env      print the settings that make compose.yaml use the stand-ins, for .env
#   engine.sh status   what runs, what is there
#   engine.sh down     stop the dockerd that this script started, undo its network rules
#   engine.sh purge    down, and delete images, containers, volumes and caches
#
# DOCKER_SOCK=/var/run/docker.sock DOCKER_DATA=/var/lib/docker IMG_CACHE=/var/cache/docker-up
# NEWER_SUITE=trixie (engine 26, compose v2, PostgreSQL 17)  REF_PY=3.11  FORCE=1 builds images anew
set -euo pipefail

DOCKER_SOCK=${DOCKER_SOCK:-/var/run/docker.sock}
DOCKER_DATA=${DOCKER_DATA:-/var/lib/docker}
DOCKER_EXEC=${DOCKER_EXEC:-/var/run/docker-up}
PIDFILE=${PIDFILE:-/var/run/docker-up.pid}
LOG=${LOG:-/var/log/docker-up.log}
IMG_CACHE=${IMG_CACHE:-/var/cache/docker-up}
REF_PY=${REF_PY:-3.11}
NEWER_SUITE=${NEWER_SUITE:-trixie}
export DOCKER_HOST=unix://$DOCKER_SOCK
export DEBIAN_FRONTEND=noninteractive
PLUGDIR=/usr/local/lib/docker/cli-plugins

say() { printf '[docker-up %(%T)T] %s\n' -1 "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }
answers() { curl -fsS --max-time 5 --unix-socket "$DOCKER_SOCK" http://d/_ping >/dev/null 2>&1; }
suite() { . /etc/os-release; echo "$VERSION_CODENAME"; }
# first Debian mirror that apt is configured with (never hard-coded here)
mirror() {
  { awk '/^URIs:/{print $2}' /etc/apt/sources.list.d/*.sources 2>/dev/null
    awk '/^deb /{for(i=2;i<=NF;i++) if($i ~ /^http/){print $i; break}}' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
  } | { grep '/debian/\?$' || true; } | awk 'NR==1'
}
apt_need() {  # apt_need CMD PKG...
  local cmd=$1; shift
  command -v "$cmd" >/dev/null 2>&1 && return 0
  if [ -z "${_APT_UPDATED:-}" ]; then apt-get update -qq; _APT_UPDATED=1; fi
  say "apt-get install $*"
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# packages of a newer Debian that install or run on this one: "libc6 >= 2.34" is all they need
newer() {  # newer DIR PKG...   download from $NEWER_SUITE without touching this machine's apt state
  local t=$1; shift; mkdir -p "$t"/{lists/partial,cache/archives/partial}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $NEWER_SUITE main" >"$t/sources.list"
  local A=(-qq -o Dir::Etc::sourcelist="$t/sources.list" -o Dir::Etc::sourceparts=/dev/null
           -o Dir::State::lists="$t/lists" -o Dir::Cache="$t/cache" -o APT::Sandbox::User=root)
  apt-get "${A[@]}" update >/dev/null && ( cd "$t" && apt-get "${A[@]}" download "$@" >/dev/null )
}

install_engine() {
  [ "$(id -u)" = 0 ] || die "run as root"
  apt_need curl curl ca-certificates
  local want=() t
  command -v dockerd >/dev/null || want+=(docker.io containerd)
  command -v docker  >/dev/null || want+=(docker-cli)
  docker compose version >/dev/null 2>&1 || want+=(docker-compose docker-buildx)
  if [ ${#want[@]} -gt 0 ]; then
    [ -n "${_APT_UPDATED:-}" ] || { apt-get update -qq; _APT_UPDATED=1; }
    if [ "$(suite)" = "$NEWER_SUITE" ]; then
      say "apt-get install ${want[*]} iptables"; apt-get install -y -qq --no-install-recommends "${want[@]}" iptables >/dev/null
    else
      t=$(mktemp -d); chmod 755 "$t"; say "fetching ${want[*]} from Debian $NEWER_SUITE"
      if newer "$t" "${want[@]}"; then
        # runc, tini, iptables come from this suite; the newer runc would need a newer libc
        if ls "$t"/docker.io_*.deb >/dev/null 2>&1; then
          apt-get install -y -qq --no-install-recommends "$t"/docker.io_*.deb "$t"/containerd_*.deb iptables >/dev/null; fi
        for d in "$t"/docker-{cli,compose,buildx}_*.deb; do [ -e "$d" ] && dpkg -x "$d" "$t/x"; done
        mkdir -p "$PLUGDIR"
        for f in "$t"/x/usr/libexec/docker/cli-plugins/docker-*; do [ -e "$f" ] && install -m 0755 "$f" "$PLUGDIR/"; done
        [ -e "$t/x/usr/bin/docker" ] && install -m 0755 "$t/x/usr/bin/docker" /usr/local/bin/docker
      else
        say "$NEWER_SUITE not reachable: docker.io of $(suite), no compose v2"
        apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
      fi
      rm -rf --one-file-system "$t"
    fi
  fi
  command -v dockerd >/dev/null || die "no dockerd after install"
}

start_engine() {
  if answers; then say "engine already answers on $DOCKER_SOCK"; return; fi
  [ -d /sys/fs/cgroup/memory ] || [ -f /sys/fs/cgroup/cgroup.controllers ] || die "no cgroups mounted"
  cat /proc/sys/net/ipv4/ip_forward >"$PIDFILE.ipfwd"
  local mtu; mtu=$(cat /sys/class/net/"$(ip route show default | awk '{print $5; exit}')"/mtu 2>/dev/null || echo 1500)
  local gpt="--iptables=true"
  if ! iptables -t nat -S >/dev/null 2>&1; then
    say "no usable iptables nat table: bridge off, containers get host network or none"
    gpt="--iptables=false --ip6tables=false --bridge=none"
  fi
  local drv=overlay2
  grep -qw overlay /proc/filesystems || drv=vfs
  mkdir -p "$DOCKER_DATA" "$DOCKER_EXEC"
  # shellcheck disable=SC2086
  setsid nohup dockerd $gpt --mtu="$mtu" --storage-driver=$drv --exec-opt native.cgroupdriver=cgroupfs \
    --data-root "$DOCKER_DATA" --exec-root "$DOCKER_EXEC" --pidfile "$PIDFILE" -H "unix://$DOCKER_SOCK" \
    --log-level=warn ${DOCKERD_ARGS:-} >"$LOG" 2>&1 </dev/null &
  for _ in $(seq 150); do answers && break; sleep 0.2; done
  answers || { tail -20 "$LOG" >&2; die "dockerd did not come up; see $LOG"; }
  say "dockerd $(docker version -f '{{.Server.Version}}') up, pid $(cat "$PIDFILE"), storage $drv, mtu $mtu"
}

has_image() { [ -z "${FORCE:-}" ] && docker image inspect "$1" >/dev/null 2>&1; }

base_image() {  # debian:SUITE-slim, of this machine's suite unless one is named
  local s img tar; s=${1:-$(suite)}; img=debian:$s-slim
  has_image "$img" && { say "$img is there"; return; }
  mkdir -p "$IMG_CACHE"; tar=$IMG_CACHE/$s-minbase.tar
  if [ ! -f "$tar" ]; then
    apt_need mmdebstrap mmdebstrap
    say "bootstrapping $s (mmdebstrap minbase, in memory)"
    TMPDIR=/dev/shm mmdebstrap --quiet --format=tar --variant=minbase --include=ca-certificates,netbase,tzdata \
      --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      "$s" "$tar.part" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $s main"
    mv "$tar.part" "$tar"
  fi
  docker import -c 'CMD ["bash"]' -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    "$tar" "docker-up-raw:$s" >/dev/null
  # this machine's way to its registries: apt sources, CA bundle, pip cert
  local c; c=$(mktemp -d)
  mkdir -p "$c/ca" "$c/apt/sources.list.d" "$c/apt/apt.conf.d"
  cp /usr/local/share/ca-certificates/*.crt "$c/ca/" 2>/dev/null || true
  printf 'deb %s %s main\n' "$(mirror)" "$s" >"$c/apt/sources.list"
  grep -lsE 'Check-Valid-Until|Acquire::http::Proxy' /etc/apt/apt.conf.d/* | xargs -r -I{} cp {} "$c/apt/apt.conf.d/"
  printf 'force-unsafe-io\n' >"$c/unsafe"
  printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$c/pip.conf"
  cat >"$c/Dockerfile" <<D
FROM docker-up-raw:$s
COPY ca/ /usr/local/share/ca-certificates/
COPY apt/ /etc/apt/
COPY unsafe /etc/dpkg/dpkg.cfg.d/unsafe-io
COPY pip.conf /etc/pip.conf
RUN update-ca-certificates
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
D
  docker build -q --network=none -t "$img" "$c" >/dev/null
  rm -rf --one-file-system "$c"
  say "$img built ($(docker image inspect -f '{{.Size}}' "$img") bytes)"
}

python_image() {  # python:3.11-slim (+ -bookworm)
  local s v img c src; s=$(suite); v=$REF_PY; img=python:$v-slim
  has_image "$img" && { say "$img is there"; return; }
  c=$(mktemp -d); mkdir -p "$c/root"
  src=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$v".* 2>/dev/null | tail -1 || true)
  if [ -n "$src" ]; then   # same layout as the official image: interpreter under /usr/local
    say "python from $src"
    tar -C "$src" -c --exclude=site-packages/* --exclude=__pycache__ --exclude="lib/python$v/test" \
        --exclude="lib/python$v/config-*" --exclude=idlelib --exclude=tkinter --exclude=turtledemo \
        --exclude='_tkinter*' lib include bin/"python$v" | tar -C "$c/root" -x
    ln -s "python$v" "$c/root/bin/python3"; ln -s python3 "$c/root/bin/python"
    strip --strip-unneeded "$c"/root/lib/libpython*.so.1.0 2>/dev/null || true
    cat >"$c/Dockerfile" <<D
FROM debian:$s-slim
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 libffi8 libsqlite3-0 libbz2-1.0 \
      liblzma5 libreadline8 libncursesw6 libuuid1 libexpat1 libtirpc3 libnsl2 libgdbm6 zlib1g && rm -rf /var/lib/apt/lists/*
COPY root/ /usr/local/
RUN ldconfig && python3 -m ensurepip --default-pip && (cd /usr/local/bin && ln -sf pip3 pip) && \
    sed -i '1s|.*|#!/usr/local/bin/python3|' /usr/local/bin/pip* && \
    find /usr/local -name __pycache__ -prune -exec rm -rf {} + && python3 -c 'import ssl, sqlite3, ctypes, lzma, bz2, zlib, readline'
ENV LANG=C.UTF-8 PYTHON_VERSION=$(basename "$src")
CMD ["python3"]
D
  else
    say "python from Debian's python3"
    cat >"$c/Dockerfile" <<D
FROM debian:$s-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip python3-venv && \
    rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED && \
    for n in python python3 python$v; do ln -s /usr/bin/python3 /usr/local/bin/\$n; done && \
    ln -s /usr/bin/pip3 /usr/local/bin/pip && mkdir -p /usr/local/lib/python$v/dist-packages && \
    ln -s dist-packages /usr/local/lib/python$v/site-packages
ENV LANG=C.UTF-8
CMD ["python3"]
D
  fi
  docker build -q -t "$img" -t "python:$v-slim-$s" -t "python:$v-$s" -t "python:$v" "$c" >/dev/null
  rm -rf --one-file-system "$c"
  say "$img built ($(docker image inspect -f '{{.Size}}' "$img") bytes)"
}

postgres_image() {  # postgres:17 with pgvector, as Debian's newer suite ships both
  local s v=17 c; s=$NEWER_SUITE
  has_image "turnhalle/postgres:$v" && { say "turnhalle/postgres:$v is there"; return; }
  base_image "$s"
  c=$(mktemp -d)
  cat >"$c/docker-entrypoint.sh" <<'E'
#!/usr/bin/env bash
# Same environment contract as the public postgres image (the part compose files use).
set -euo pipefail
PGBIN=$(ls -d /usr/lib/postgresql/*/bin | tail -1); export PATH=$PGBIN:$PATH
[ "${1:0:1}" = '-' ] && set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"
val() { local f="${1}_FILE"; if [ -n "${!f:-}" ]; then cat "${!f}"; else printf %s "${!1:-${2:-}}"; fi; }
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql; chown -R postgres: "$PGDATA" /var/run/postgresql; chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
U=$(val POSTGRES_USER postgres); P=$(val POSTGRES_PASSWORD); D=$(val POSTGRES_DB "$U")
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$P" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo 'Error: set POSTGRES_PASSWORD (or POSTGRES_HOST_AUTH_METHOD=trust)' >&2; exit 1; fi
  eval "initdb --username=\"\$U\" --pwfile=<(printf '%s\n' \"\$P\") ${POSTGRES_INITDB_ARGS:-}"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  PGPASSWORD=$P pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  q=(psql -v ON_ERROR_STOP=1 --username "$U" --no-password --no-psqlrc)
  [ "$D" = postgres ] || "${q[@]}" -d postgres --set db="$D" <<<'CREATE DATABASE :"db";'
  for f in /docker-entrypoint-initdb.d/*; do
    case $f in
      *.sh) if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
      *.sql) "${q[@]}" -d "$D" -f "$f" ;;
      *.sql.gz) gunzip -c "$f" | "${q[@]}" -d "$D" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@"
E
  chmod 755 "$c/docker-entrypoint.sh"
  cat >"$c/Dockerfile" <<D
FROM debian:$s-slim
RUN apt-get update && mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf && \
    apt-get install -y --no-install-recommends postgresql-$v postgresql-$v-pgvector && rm -rf /var/lib/apt/lists/* && \
    sed -i "s/^#\?listen_addresses.*/listen_addresses = '*'/" /usr/share/postgresql/$v/postgresql.conf.sample && \
    mkdir -p /docker-entrypoint-initdb.d /var/lib/postgresql/data && chown -R postgres: /var/lib/postgresql
ENV PATH=/usr/lib/postgresql/$v/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8 PG_MAJOR=$v
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
D
  docker build -q -t "turnhalle/postgres:$v" "$c" >/dev/null
  rm -rf --one-file-system "$c"
  say "turnhalle/postgres:$v built ($(docker image inspect -f '{{.Size}}' "turnhalle/postgres:$v") bytes)"
}

prometheus_image() {  # prom/prometheus, as far as compose.yaml goes: its paths, its user
  local s img=turnhalle/prometheus:2; s=$(suite)
  has_image "$img" && { say "$img is there"; return; }
  docker build -q -t "$img" - >/dev/null <<D
FROM debian:$s-slim
RUN apt-get update && apt-get install -y --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/* && \
    install -d -o nobody -g nogroup /prometheus
WORKDIR /prometheus
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]
D
  say "$img built ($(docker image inspect -f '{{.Size}}' "$img") bytes)"
}

# An engine that others started has its own way to images.
ours() { [ -s "$PIDFILE" ] && kill -0 "$(cat "$PIDFILE")" 2>/dev/null; }
images() { answers || die "no engine: run '$0 up' first"; base_image; python_image; postgres_image; prometheus_image; }

env_() {
  if docker image inspect turnhalle/postgres:17 >/dev/null 2>&1; then echo "POSTGRES_IMAGE=turnhalle/postgres:17"; fi
  if docker image inspect turnhalle/prometheus:2 >/dev/null 2>&1; then echo "PROMETHEUS_IMAGE=turnhalle/prometheus:2"; fi
  local w; w=$(python3 -m pip config get global.find-links 2>/dev/null || true)
  if [ -d "$w" ]; then echo "WHEELS=$w"; fi
}

down() {
  if [ -s "$PIDFILE" ] && p=$(cat "$PIDFILE") && [ "$(cat /proc/"$p"/comm 2>/dev/null)" = dockerd ]; then
    docker ps -q 2>/dev/null | xargs -r docker stop -t 3 >/dev/null || true
    kill -TERM "$p"; for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
    say "dockerd $p stopped"
  else say "no dockerd of this script runs"; fi
  # dockerd leaves its chains, bridge and ip_forward behind
  if command -v iptables >/dev/null && iptables -S DOCKER-USER >/dev/null 2>&1; then
    iptables-save | grep -vE 'DOCKER|docker0|br-[0-9a-f]{12}|172\.(1[7-9]|2[0-9]|3[01])\.0\.0/16' | sed 's/^:FORWARD DROP/:FORWARD ACCEPT/' | iptables-restore
  fi
  ip -o link show type bridge 2>/dev/null | awk -F': ' '$2 ~ /^(docker0|br-[0-9a-f]{12})$/{print $2}' | xargs -r -n1 ip link del
  [ -s "$PIDFILE.ipfwd" ] && cat "$PIDFILE.ipfwd" >/proc/sys/net/ipv4/ip_forward && rm -f "$PIDFILE.ipfwd"
  return 0
}

status() {
  if answers; then docker version -f 'engine {{.Server.Version}} api {{.Server.APIVersion}}'; docker compose version --short
    docker info -f 'storage {{.Driver}} cgroup {{.CgroupDriver}} v{{.CgroupVersion}}' ; docker images; docker ps -a
  else echo "no engine on $DOCKER_SOCK"; return 3; fi
}

case ${1:-all} in
  up) install_engine; start_engine ;;
  images) images ;;
  env) env_ ;;
  all) if answers && ! ours; then say "the engine that answers is used"; else install_engine; start_engine; images; fi ;;
  status) status ;;
  down) down ;;
  purge) down; rm -rf --one-file-system "$DOCKER_DATA" "$IMG_CACHE" "$DOCKER_EXEC" ;;
  *) sed -n '2,14p' "$0"; exit 2 ;;
esac
