# Loads the extension from a directory outside of PostgreSQL's own, which a container's read-only files prove.
# Arguments: PostgreSQL's major version, the directory with lib/ and share/extension/, the extension's version, and
# the form that is tested. Without a directory, the extension is in PostgreSQL's own, as in an image with both.
set -u
major=$1 directory=$2 version=$3 form=$4
programs=/usr/lib/postgresql/$major/bin

chmod 1777 /tmp
# The parent of the mounted directory belongs to root alone at first.
[ -z "$directory" ] || chmod 755 "$(dirname "$directory")"
prepare_directories

as_postgres() {
    runuser -u postgres -- "$@"
}

has_none() {
    same "$(find / -xdev \( -path /proc -o -path /mnt -o -path /tmp \) -prune -o -name 'pg_keyspace*' -print |
        grep -v '^/etc/pg_keyspace-packages$')" ''
}

# The settings that CloudNativePG makes of an image volume.
paths() {
    if [ -n "$directory" ]; then
        echo "extension_control_path = '\$system:$directory/share'"
        echo "dynamic_library_path = '\$libdir:$directory/lib'"
    fi
}

start() {
    as_postgres "$programs/initdb" --no-sync --auth=trust --pgdata="/tmp/$1" &&
        paths >> "/tmp/$1/postgresql.conf" &&
        cat >> "/tmp/$1/postgresql.conf" <<CONF &&
shared_preload_libraries = '$3'
listen_addresses = ''
unix_socket_directories = '/run/postgresql'
port = $2
CONF
        as_postgres "$programs/pg_ctl" --wait --pgdata="/tmp/$1" --log="/tmp/$1.log" start ||
        { cat "/tmp/$1.log"; return 1; }
}

servers() {
    start first 5501 pg_keyspace && start second 5502 ''
}

both() {
    "$1" 5501 && "$1" 5502
}

create_this_version() {
    create_extension "$1" "$version"
}

stop() {
    as_postgres "$programs/pg_ctl" --mode=fast --pgdata=/tmp/first stop &&
        as_postgres "$programs/pg_ctl" --mode=fast --pgdata=/tmp/second stop
}

if [ -n "$directory" ]; then
    check "$form: PostgreSQL $major has no file of the extension" has_none
fi
check "$form: two servers start, one of which preloads the library" servers
check "both get a database with rows" both make_database
check "its owner, an ordinary role, creates the extension" both create_this_version
check "one gets the odd ids, the other the even ones" interleave 5501 5502
check "keys are generated" both keys
check "the servers stop" stop
echo end
