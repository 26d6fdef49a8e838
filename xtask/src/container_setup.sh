#!/bin/sh
# Makes the system of a container, or adds to one that lacks packages: a small Debian by debootstrap, and packages in it.
# Run as root by xtask, which gives it on standard input how apt reaches its archives. A package with the suffix
# /experimental is wanted from Debian's experimental, where that has it.
set -eu
root=$1 release=$2 mirror=$3 keyring=$4
shift 4
completed=etc/pg_keyspace-packages

# This machine's certificates, for archives that are reached by https. Not where packages expect theirs, because
# some packages write there as they are installed.
certificates=/etc/ssl/certs/ca-certificates.crt
certificates_within=/run/ca-certificates.crt

within() {
    bwrap --bind "$root" / --dev-bind /dev /dev --bind /proc /proc --bind /sys /sys --die-with-parent \
        --ro-bind-try /etc/hosts /etc/hosts --ro-bind-try /etc/resolv.conf /etc/resolv.conf \
        --ro-bind-try "$certificates" "$certificates_within" \
        env --ignore-environment DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

apt_get() {
    if [ -e "$certificates" ]; then
        set -- --option "Acquire::https::CAInfo=$certificates_within" "$@"
    fi
    within apt-get --quiet "$@"
}

if [ ! -e "$root/$completed" ]; then
    # Under another name until it is whole, so that what an interruption leaves is never taken for it.
    new=$root.new
    rm -rf "$new" "$root"
    http_proxy=$(apt-config dump --format=%v Acquire::http::Proxy)
    if [ -n "$http_proxy" ]; then export http_proxy; else unset http_proxy; fi
    # A release that is younger than debootstrap is made as the newest that it knows.
    scripts=/usr/share/debootstrap/scripts
    like=$release
    [ -e "$scripts/$release" ] || like=sid
    # What it mounts on the way is gone with its mount namespace.
    unshare --mount --propagation private debootstrap --variant=minbase --force-check-gpg --keyring="$keyring" \
        "$release" "$new" "$mirror" "$scripts/$like"
    cat > "$new/etc/apt/apt.conf.d/50container"
    # Servers are not started as they are installed.
    mkdir -p "$new/etc/postgresql-common"
    echo "create_main_cluster = false" > "$new/etc/postgresql-common/createcluster.conf"
    printf '#!/bin/sh\nexit 101\n' > "$new/usr/sbin/policy-rc.d"
    chmod 755 "$new/usr/sbin/policy-rc.d"
    : > "$new/$completed"
    mv "$new" "$root"
fi

names="" pinned=""
for package in "$@"; do
    names="$names ${package%/experimental}"
    [ "$package" = "${package%/experimental}" ] || pinned="$pinned ${package%/experimental}"
done
if [ -n "$pinned" ]; then
    # These alone: a wish for the whole of experimental would take perl and others from there.
    echo "deb $mirror experimental main" > "$root/etc/apt/sources.list.d/experimental.list"
    printf 'Package:%s\nPin: release a=experimental\nPin-Priority: 990\n' "$pinned" \
        > "$root/etc/apt/preferences.d/experimental"
fi
apt_get update
# Names of packages hold no blanks.
# shellcheck disable=SC2086
apt_get install --yes --no-install-recommends $names
apt_get clean
printf '%s\n' "$@" | head -c -1 > "$root/$completed"
