metadata = {
  name                     = "pg-keyspace"
  sql_name                 = "pg_keyspace"
  image_name               = "pg-keyspace"
  licenses                 = ["PostgreSQL"]
  # Not needed from PostgreSQL 17 on; to preload the library saves each session the time to load it.
  shared_preload_libraries = []
  postgresql_parameters    = {}
  extension_control_path   = []
  dynamic_library_path     = []
  ld_library_path          = []
  bin_path                 = []
  env                      = {}
  auto_update_os_libs      = false
  required_extensions      = []
  create_extension         = true

  versions = {
    bookworm = {
      "18" = {
        // renovate: suite=bookworm-pgdg depName=postgresql-18-pg-keyspace
        package = "@VERSION@-1.pgdg12+1"
        // renovate: suite=bookworm-pgdg depName=postgresql-18-pg-keyspace extractVersion=^(?<version>\d+\.\d+\.\d+)
        sql     = "@VERSION@"
      }
    }
    trixie = {
      "18" = {
        // renovate: suite=trixie-pgdg depName=postgresql-18-pg-keyspace
        package = "@VERSION@-1.pgdg13+1"
        // renovate: suite=trixie-pgdg depName=postgresql-18-pg-keyspace extractVersion=^(?<version>\d+\.\d+\.\d+)
        sql     = "@VERSION@"
      }
    }
  }
}
