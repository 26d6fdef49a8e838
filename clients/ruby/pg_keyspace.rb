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

  # Makes the adapter know the type by its name. From Rails 7.0 on the method is one of the class.
  module TypeMap
    def initialize_type_map(map = type_map)
      # First, because arrays are looked up at the end.
      map.register_type("ulid", UlidType.new)
      super
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
  target = respond_to?(:initialize_type_map, true) ? singleton_class : self
  target.prepend(PgKeyspace::TypeMap)
end
ActiveRecord::ConnectionAdapters::PostgreSQL::TableDefinition.include(PgKeyspace::ColumnMethods)
ActiveRecord::ConnectionAdapters::PostgreSQL::Table.include(PgKeyspace::ColumnMethods)
ActiveRecord::Type.register(:ulid, PgKeyspace::UlidType, adapter: :postgresql)
