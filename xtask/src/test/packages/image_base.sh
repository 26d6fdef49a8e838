# Installs PostgreSQL without a cluster, as images have it.
# Arguments: PostgreSQL's major version.
set -u
major=$1

install_server() {
    mkdir -p /etc/postgresql-common &&
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf &&
        add_security_updates && apt_get install "postgresql-$major" && apt_get clean
}

chmod 1777 /tmp
check "apt installs PostgreSQL $major into the base of an image" install_server
echo end
