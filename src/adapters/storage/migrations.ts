import type { DatabaseSync } from 'node:sqlite'
import { SpillwayError } from '../../core/spillway-error.ts'

/** Steps of one database, in order; step `n` brings it from version `n` to `n + 1`. Never changed once released. */
export type Migrations = readonly string[]

export const directoryMigrations: Migrations = [
  `create table tenants (
     id text primary key, plan text not null, countries text not null, sub_processors text not null,
     allow_substitutes integer not null, limits text not null
   ) strict;
   create table keys (
     id text primary key, tenant text not null references tenants (id), digest text not null unique,
     hint text not null, label text not null, created_wall_ms integer not null, revoked_wall_ms integer
   ) strict;`,
  // A key can have limits of its own, and may belong to a tenant that the configuration file gives.
  `create table keys_next (
     id text primary key, tenant text not null, digest text not null unique, hint text not null, label text not null,
     limits text not null default '{}', created_wall_ms integer not null, revoked_wall_ms integer
   ) strict;
   insert into keys_next (id, tenant, digest, hint, label, created_wall_ms, revoked_wall_ms)
     select id, tenant, digest, hint, label, created_wall_ms, revoked_wall_ms from keys;
   drop table keys;
   alter table keys_next rename to keys;`,
]

export const ledgerMigrations: Migrations = [
  `create table requests (
     id text primary key, seq integer not null, wall_ms integer not null, tenant text not null, key_id text not null,
     plan text not null, model text not null, operation text not null, stream integer not null, state text not null,
     source text, input_tokens integer not null, cached_input_tokens integer not null, output_tokens integer not null,
     nano_usd integer not null, attempts integer not null, endpoint text, sub_processor text, country text,
     status integer not null, code text, first_byte_ms integer, duration_ms integer,
     policy_version integer not null, register_version integer not null, price_version text not null
   ) strict, without rowid;
   create index requests_by_time on requests (wall_ms);
   create table attempts (
     id text not null, n integer not null, seq integer not null, wall_ms integer not null, endpoint text not null,
     sub_processor text not null, country text not null, upstream_model text not null, failure text, status integer,
     primary key (id, n)
   ) strict, without rowid;
   create table progress (name text primary key, seq integer not null) strict, without rowid;
   insert into progress values ('cursor', 0);`,
  // What the vendor may bill for each attempt, by its own word, beside what the request is charged.
  `alter table attempts add column input_tokens integer;
   alter table attempts add column cached_input_tokens integer;
   alter table attempts add column output_tokens integer;`,
  // Both sides of the books: what was held and charged for each request, what each attempt costs; rows are for good.
  `alter table requests add column hold_nano_usd integer not null default 0;
   alter table attempts add column nano_usd integer;
   create view entries (id, n, wall_ms, account, nano_usd) as
     select id, 0, wall_ms, 'tenant/' || tenant, nano_usd from requests where nano_usd <> 0
     union all select id, 0, wall_ms, 'sales', -nano_usd from requests where nano_usd <> 0
     union all select id, n, wall_ms, 'purchases', nano_usd from attempts where nano_usd <> 0
     union all select id, n, wall_ms, 'vendor/' || sub_processor, -nano_usd from attempts where nano_usd <> 0;
   create trigger requests_stay before update on requests
     begin select raise(abort, 'rows of the ledger are not changed'); end;
   create trigger requests_remain before delete on requests
     begin select raise(abort, 'rows of the ledger are not deleted'); end;
   create trigger attempts_stay before update on attempts
     begin select raise(abort, 'rows of the ledger are not changed'); end;
   create trigger attempts_remain before delete on attempts
     begin select raise(abort, 'rows of the ledger are not deleted'); end;`,
  // What each key spent in each month, so that a start need not read all of the month to know it.
  `create table spending (
     month integer not null, tenant text not null, key_id text not null, nano_usd integer not null,
     primary key (month, tenant, key_id)
   ) strict, without rowid;
   insert into spending
     select strftime('%Y', wall_ms / 1000, 'unixepoch') * 12 + strftime('%m', wall_ms / 1000, 'unixepoch') - 1, tenant,
       key_id, sum(nano_usd) from requests where nano_usd > 0 group by 1, 2, 3;`,
  // The tier a request was served in.
  `alter table requests add column tier text not null default 'default';`,
]

/** Brings a database to the newest version, each step in a transaction of its own. Throws where it is newer than that. */
export function migrate(database: DatabaseSync, migrations: Migrations, name: string): void {
  const { user_version: version } = database.prepare('pragma user_version').get() as { user_version: number }
  if (version > migrations.length) {
    throw new SpillwayError(
      'internal_error',
      `${name} was written by a newer Spillway (version ${version}, this one knows ${migrations.length}); start that one, or restore a backup`,
    )
  }
  for (let step = version; step < migrations.length; step++) {
    database.exec('begin immediate')
    try {
      database.exec(migrations[step] as string)
      database.exec(`pragma user_version = ${step + 1}`)
      database.exec('commit')
    } catch (error) {
      database.exec('rollback')
      throw error
    }
  }
}
