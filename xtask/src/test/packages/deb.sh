# Installs a Debian package into a fresh system, uses it, upgrades it and removes it.
# Arguments: PostgreSQL's major version, the name of the package, its file, the file of the next version, the
# extension's version in each, and name and files of the client program's package.
set -u
major=$1 package=$2 file=$3 next_file=$4 version=$5 next_version=$6 client=$7 client_file=$8 next_client_file=$9

# As on a user's system, a cluster is created with PostgreSQL.
rm -f /etc/postgresql-common/createcluster.conf
chmod 1777 /tmp

as_packaged() {
    same "$(dpkg --verify "$1")" '' &&
        same "$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$1")" 'ii '
}

# The program alone, without PostgreSQL.
install_client() {
    apt_get install "$client_file" && as_packaged "$client" &&
        same "$(dpkg-query --show --showformat='${db:Status-Status}\n' 'postgresql*' | grep --count '^installed$')" 0 &&
        same "$(pg_keyspace --version)" "pg_keyspace $version" &&
        [ -e /usr/share/man/man1/pg_keyspace.1.gz ] &&
        same "$(bash -c '. /usr/share/bash-completion/completions/pg_keyspace && complete -p pg_keyspace | wc -l')" 1
}

# As the owner of the servers, who is a superuser.
client_checks() {
    runuser -u postgres -- pg_keyspace --node "a=host=/run/postgresql port=$(port main) dbname=shop" \
        --node "b=host=/run/postgresql port=$(port second) dbname=shop" check
}

upgrade_client() {
    apt_get install "$next_client_file" && as_packaged "$client" &&
        same "$(dpkg-query --show --showformat='${Version}' "$client")" "$next_version-1"
}

purge_client() {
    apt_get purge "$client" && ! command -v pg_keyspace &&
        same "$(find /usr -name '*pg_keyspace*' -o -name "*$client*" | grep -v "$package\|/postgresql/")" ''
}

clusters() {
    pg_ctlcluster "$major" main start && pg_createcluster "$major" second --start
}

port() {
    pg_lsclusters --no-header | awk -v name="$1" '$2 == name { print $3 }'
}

both() {
    "$1" "$(port main)" && "$1" "$(port second)"
}

create_this_version() {
    create_extension "$1" "$version"
}

update() {
    as_owner "$1" 'ALTER EXTENSION pg_keyspace UPDATE' &&
        same "$(as_owner "$1" 'SELECT keyspace_internal.made_up_release()')" "$next_version"
}

draw_more() {
    as_owner "$(port main)" "INSERT INTO orders (item) SELECT 'after' FROM generate_series(1, 100)" &&
        remainders "$(port main)" 1
}

# The paths of everything but what apt, dpkg and the servers write as they run.
all_paths() {
    find / -xdev \( -path /proc -o -path /dev -o -path /mnt -o -path /run -o -path /tmp -o -path /var/log \
        -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/postgresql \) -prune \
        -o -print | sort
}

purge() {
    apt_get purge "$package" &&
        same "$(all_paths | grep --ignore-case 'pg.keyspace' | grep -v '^/etc/pg_keyspace-packages$')" '' &&
        same "$(find /var/lib/dpkg/info -name "$package*")" ''
}

system="Debian $(cat /etc/debian_version)"
check "apt reads its lists" add_security_updates
check "$system: apt installs the client program alone" install_client
check "apt installs the file, and PostgreSQL $major with it" apt_get install "$file"
check "what is installed is what was packaged" as_packaged "$package"
prepare_directories
check "two clusters start" clusters
check "both get a database with rows" both make_database
check "its owner, an ordinary role, creates the extension" both create_this_version
check "one gets the odd ids, the other the even ones" interleave "$(port main)" "$(port second)"
check "keys are generated" both keys
check "the client program checks both" client_checks
check "apt upgrades the client program" upgrade_client
check "it works as before" client_checks
check "apt purges it, and no file of it is left" purge_client
check "apt upgrades to the file of the next version" apt_get install "$next_file"
check "the new library serves the objects of the old version" both keys
check "ALTER EXTENSION UPDATE gives the objects of the new version" both update
check "ids remain odd" draw_more
check "apt purges the package, and no file of it is left" purge
all_paths > /tmp/before
check "apt installs it again" apt_get install "$file"
check "and purges it again" purge
all_paths > /tmp/after
check "an installation that was purged leaves nothing" diff /tmp/before /tmp/after
echo end
