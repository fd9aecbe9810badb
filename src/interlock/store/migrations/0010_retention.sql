-- Tasks that are over are forgotten after a while, and with them what only they refer to.

-- Who refers to which blob: a blob goes with the last task that does. Artifacts and snapshots are named in sealed columns
-- only, so this is what is known of them.
create table blob_use (
  sha256   text not null references blob,
  task_id  uuid not null references task on delete cascade,
  primary key (sha256, task_id)
);
create index blob_use_task on blob_use (task_id);
-- Of a blob that was there before, nobody knows who refers to it: it stays.
alter table blob add column counted boolean not null default false;

create index task_finished on task (finished_at, id)
  where state in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected');
-- That a task is another one tried again stays a fact after that one was forgotten: no reference, but a name. The rows
-- are locked where both are there.
alter table task drop constraint task_retry_of_fkey;
create index task_undo_open on task (id)
  where kind = 'undo' and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected');
create index task_retry_of on task (retry_of) where retry_of is not null;
-- What goes with a task must be found without reading the whole table.
create index approval_task on approval (task_id);
create index approval_call on approval (call_id);
create index agent_token_task on agent_token (task_id) where task_id is not null;

grant select, insert, update, delete on blob_use to interlock_app;
