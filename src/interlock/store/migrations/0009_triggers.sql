-- What is known of each trigger of the configuration. Its row is locked by whoever takes a delivery in.
create table trigger_state (
  name       text primary key,
  last_fired timestamptz,
  last_task  uuid references task on delete set null,
  untold     bigint not null default 0     -- refusals that the audit does not tell of yet
);
grant select, insert, update, delete on trigger_state to interlock_app;

-- Deliveries that were taken in: the same one again is the same task, also when that is final or deleted.
create table trigger_delivery (
  name       text not null,                -- of the trigger
  key        text not null,                -- hash of what names the delivery
  task       uuid not null,
  expires_at timestamptz not null,
  primary key (name, key)
);
create index trigger_delivery_expires on trigger_delivery (expires_at);
grant select, insert, update, delete on trigger_delivery to interlock_app;
