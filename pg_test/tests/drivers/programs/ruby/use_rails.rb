# Rails: ActiveRecord with its migrations and its schema.rb. The first argument is the directory of
# clients/ruby; without it, the program shows what is missing.

require "active_record"
require "stringio"

connection = { adapter: "postgresql", host: ENV["PGHOST"], database: ENV["PGDATABASE"], username: ENV["PGUSER"] }
require File.join(ARGV[0], "pg_keyspace.rb") if ARGV[0]
ActiveRecord::Base.establish_connection(connection)
ActiveRecord::Migration.verbose = false

def check(condition, what)
  raise what.inspect unless condition
end

def dump
  output = StringIO.new
  pool = ActiveRecord::Base
  pool = ActiveRecord::Base.connection_pool if ActiveRecord.version >= Gem::Version.new("7.2")
  pool = ActiveRecord::Base.connection if ActiveRecord.version < Gem::Version.new("7.2")
  ActiveRecord::SchemaDumper.dump(pool, output)
  output.string
end

unless ARGV[0]
  # The trap: the table is missing, and only a comment says so.
  schema = dump
  check(!schema.include?('create_table "payment"') && schema.include?("Unknown type 'ulid' for column 'id'"), schema)
  exit
end

class CreateRefunds < ActiveRecord::Migration[6.1]
  def change
    enable_extension "pg_keyspace"
    create_table :refunds, id: :ulid, default: -> { "ulid()" } do |t|
      t.ulid :parts, array: true, null: false, default: []
      t.integer :number
    end
    create_table :complaints, id: :ulid, default: -> { "ulid()" } do |t|
      t.references :refund, type: :ulid, foreign_key: true
    end
    create_table :visits, id: :uuid, default: -> { "uuidv7()" } do |t|
      t.text :url
    end
  end
end
CreateRefunds.migrate(:up)

class Refund < ActiveRecord::Base
  has_many :complaints
end

class Complaint < ActiveRecord::Base
  belongs_to :refund, optional: true
end

class Visit < ActiveRecord::Base
end

class Payment < ActiveRecord::Base
  self.table_name = "payment"
end

def use
  visit = Visit.create!(url: "/")
  check(visit.id[14] == "7", visit)
  refund = Refund.create!(number: 1)
  other = Refund.create!(number: 2)
  check(refund.id.length == 26 && refund.id < other.id, [refund, other])
  refund.update!(parts: [refund.id, other.id])
  check(refund.reload.parts == [refund.id, other.id], refund)
  check(Refund.find(refund.id.downcase) == refund, refund)
  check(Refund.where(id: [refund.id, other.id]).count == 2, refund)
  check(Refund.where("id = ANY(ARRAY[?]::ulid[])", [refund.id]).to_a == [refund], refund)
  check(Refund.where(id: "nonsense").to_a == [], refund)
  complaint = other.complaints.create!
  check(Complaint.joins(:refund).where(refunds: { number: 2 }).to_a == [complaint], complaint)
  made = Refund.insert_all!([{ number: 3 }, { number: 4 }], returning: [:id, :number]).rows
  check(made.sort == made && made.length == 2, made)
  check(Payment.create!(amount: 1).id.length == 26, "payment")
end
use

# Another type of this name is not ours, even where search_path finds it first.
ActiveRecord::Base.establish_connection(**connection, schema_search_path: "decoy, public")
types = ActiveRecord::Base.connection.exec_query("SELECT id, refunds FROM payment LIMIT 1").column_types
check(types["id"].type == :ulid && types["refunds"].type == :ulid, types)
theirs = ActiveRecord::Base.connection.exec_query("SELECT '01563e3a-b5d3-d676-4c61-efb99302bd5b'::decoy.ulid AS id").column_types
check(theirs["id"].nil? || theirs["id"].type != :ulid, theirs)
ActiveRecord::Base.establish_connection(connection)

schema = dump
check(schema.include?('create_table "refunds", id: :ulid, default: -> { "ulid()" }'), schema)
check(schema.include?('t.ulid "parts", default: [], null: false, array: true'), schema)
check(schema.include?('t.ulid "refund_id"'), schema)
check(schema.include?('enable_extension "pg_keyspace"'), schema)
["INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no", "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id"].each do |sql|
  ids = ActiveRecord::Base.connection.select_values(sql)
  check(ids.length == 2 && ids.all?(&:even?), ids)
end

# The key of a table that exists moves.
class CreateOrders < ActiveRecord::Migration[6.1]
  def change
    create_table(:orders) { |t| t.integer :amount }
    create_table(:lines) { |t| t.references :order, foreign_key: true }
  end
end
CreateOrders.migrate(:up)

class Order < ActiveRecord::Base
  has_many :lines
end

class Line < ActiveRecord::Base
  belongs_to :order
end

5.times { |number| Order.create!(amount: number).lines.create! }
database = ActiveRecord::Base.connection
database.execute("SELECT key_migration_create('orders', target => 'ulid', without_timestamp => true, move_primary_key => true)")
database.select_values("SELECT statement FROM key_migration_statements('orders')").each { |statement| database.execute(statement) }
database.execute("CALL key_migration_cutover('orders')")
[Order, Line].each(&:reset_column_information)
line = Order.create!(amount: 5).lines.create!
check(line.order_id.length == 26 && Line.joins(:order).count == 6, line)
# The trap: until finalize, the old ids have a default, and no schema.rb has its sequence.
check(dump.include?("nextval('orders_id_seq'::regclass)"), dump)
database.execute("CALL key_migration_finalize('orders', confirm => 'orders')")
schema = dump
check(schema.include?('create_table "orders", id: :ulid, default: -> { "ulid()" }'), schema)
check(schema.include?('t.ulid "order_id"') && !schema.include?("orders_id_seq"), schema)

# The schema is loaded into another database, and works there. It has no sequences: a default that
# draws from one needs schema_format = :sql, or the sequence beforehand.
again = "#{ENV["PGDATABASE"]}_again"
ActiveRecord::Base.connection.execute("CREATE DATABASE #{again}")
ActiveRecord::Base.establish_connection(**connection, database: again)
ActiveRecord::Base.connection.execute("CREATE SEQUENCE ticket_no")
eval(schema)
[Refund, Complaint, Visit, Payment].each(&:reset_column_information)
use
check(dump == schema, dump)

puts "tested: Rails #{ActiveRecord.version}"
