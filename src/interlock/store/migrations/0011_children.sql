-- Tasks that another one brought about: it gave them away, or they take back what it did before it is tried again.
alter table task add column parent_id uuid;
alter table task add column parent_call uuid;                    -- the call that gave it away
alter table task add column lineage jsonb not null default '[]'; -- the tasks above, nearest first, with their limits
alter table task add column above text[] not null default '{}';  -- the scopes of these tasks and of their agents

create unique index task_parent_call on task (parent_call) where parent_call is not null;
create index task_parent on task (parent_id) where parent_id is not null;
create index task_parent_open on task (parent_id) where parent_id is not null
  and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected');
create index task_above on task using gin (above) where above <> '{}';
