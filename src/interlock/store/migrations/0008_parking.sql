-- A task that may not begin now is set aside until it may: parked says by what (a halt, a pause, a full house). It stays
-- queued, has no segment in the dispatcher's queue, and so costs nothing while it waits.
alter table task add column parked text;
create index task_parked on task (agent, virtual_deadline) where parked is not null;
create index task_working on task (agent) where state in ('running', 'verifying');

-- Whether what is under way is stopped as well.
alter table halt add column stops boolean not null default false;
