# frozen_string_literal: true

# The type ulid in Rails: copy this file to config/initializers. Values are strings; migrations and
# schema.rb have t.ulid and id: :ulid. Without it, Rails leaves tables with a ulid out of schema.rb.

require "active_record/connection_adapters/postgresql_adapter"

module PgKeyspace
  # A ULID as a string of 26 upper-case characters; nil if it is none.
  class UlidType < ActiveModel::Type::Value
    FORMAT = /\A[0-7][0-9A-HJKMNP-TV-Z]{25}\z/

    def type
      :ulid
    end

    def serialize(value)
      cast(value)
    end

    private

    def cast_value(value)
      ulid = value.to_s.upcase(:ascii).tr("ILO", "110")
      ulid.freeze if FORMAT.match?(ulid)
    end
  end

  # Makes the adapter know the type and its arrays by their numbers in this database, as members of the
  # extension: another type can have the name.
  module TypeMap
    FIND_TYPE = <<~SQL
      SELECT t.oid, t.typarray
      FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
        JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
      WHERE e.extname = 'pg_keyspace'
    SQL

    private

    # Rails calls it when it connects, and when it meets a type that it does not know.
    def load_additional_types(oids = nil)
      super
      uncached { select_rows(FIND_TYPE, "SCHEMA") }.each do |oid, array_oid|
        ulid = UlidType.new
        type_map.register_type(oid.to_i, ulid)
        array = ActiveRecord::ConnectionAdapters::PostgreSQL::OID::Array.new(ulid, ",")
        type_map.register_type(array_oid.to_i, array)
      end
    end
  end

  # Adds t.ulid to migrations.
  module ColumnMethods
    def ulid(*names, **options)
      names.each { |name| column(name, :ulid, **options) }
    end
  end
end

ActiveRecord::ConnectionAdapters::PostgreSQLAdapter.class_eval do
  self::NATIVE_DATABASE_TYPES[:ulid] = { name: "ulid" }
  prepend PgKeyspace::TypeMap
end
ActiveRecord::ConnectionAdapters::PostgreSQL::TableDefinition.include(PgKeyspace::ColumnMethods)
ActiveRecord::ConnectionAdapters::PostgreSQL::Table.include(PgKeyspace::ColumnMethods)
ActiveRecord::Type.register(:ulid, PgKeyspace::UlidType, adapter: :postgresql)
