# Sourced by the scripts that use a package: checks, and two servers with one extension each.

# Runs a command, and says whether it succeeded; if not, with its output.
check() {
    title=$1
    shift
    if "$@" > /tmp/output 2>&1; then
        echo "ok: $title"
    else
        echo "FAILED: $title"
        cat /tmp/output
    fi
}

# Whether two texts are equal.
same() {
    [ "$1" = "$2" ] || { printf 'expected: %s\nfound: %s\n' "$2" "$1"; return 1; }
}

apt_get() {
    if [ -e /run/ca-certificates.crt ]; then
        set -- --option Acquire::https::CAInfo=/run/ca-certificates.crt "$@"
    fi
    apt-get --quiet --yes --no-install-recommends "$@"
}

# A system that is installed in the usual way has security updates among its sources.
add_security_updates() {
    . /etc/os-release
    mirror=$(awk '$1 == "deb" { print $2; exit }' /etc/apt/sources.list)
    echo "deb $mirror-security $VERSION_CODENAME-security main" > /etc/apt/sources.list.d/security.list
    apt_get update
}

prepare_directories() {
    chmod 1777 /tmp /dev/shm
    # What an unprivileged user may not make in the directory of the system.
    install -d -m 2775 -o postgres -g postgres /run/postgresql
}

# The statements run as the owner of the database, an ordinary role.
query() {
    port=$1
    shift
    runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -h /run/postgresql -p "$port" "$@"
}

as_owner() {
    port=$1
    query "$port" -d shop -c 'SET ROLE app' -c "$2"
}

make_database() {
    query "$1" -d postgres -c 'CREATE ROLE app' &&
        query "$1" -d postgres -c 'CREATE DATABASE shop OWNER app' &&
        as_owner "$1" 'CREATE TABLE orders (id bigserial PRIMARY KEY, item text)' &&
        as_owner "$1" "INSERT INTO orders (item) SELECT 'before' FROM generate_series(1, 3)"
}

create_extension() {
    as_owner "$1" 'CREATE EXTENSION pg_keyspace' &&
        same "$(as_owner "$1" "SELECT extversion FROM pg_extension WHERE extname = 'pg_keyspace'")" "$2"
}

# Two servers, each with its class of the ids: the commands of the README.
interleave() {
    first=$1 second=$2
    as_owner "$first" 'SELECT * FROM setup_interleaved_sequences(1, 2)' &&
        as_owner "$second" 'SELECT * FROM setup_interleaved_sequences(2, 2)' || return 1
    for port in "$first" "$second"; do
        as_owner "$port" "INSERT INTO orders (item) SELECT 'after' FROM generate_series(1, 100)" &&
            same "$(as_owner "$port" "SELECT count(*) FROM check_interleaved_sequences() WHERE severity = 'error'")" 0 ||
            return 1
    done
    remainders "$first" 1 && remainders "$second" 0
}

remainders() {
    same "$(as_owner "$1" "SELECT DISTINCT id % 2 FROM orders WHERE item = 'after'")" "$2"
}

keys() {
    same "$(as_owner "$1" "SELECT length(ulid()::text), uuidv7_to_timestamp(public.uuidv7()) > now() - interval '1 minute'")" '26|t'
}
