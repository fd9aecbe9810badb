-- How many tasks of an agent wait for their turn, counted by the commits that make them wait and start: a submit that
-- would have to count rows would be the slower the more there are. Sessions share the counting over a few rows.
create table backlog (
  tenant  text not null default 'default',
  agent   text not null,
  shard   smallint not null,
  waiting bigint not null default 0,
  primary key (tenant, agent, shard)
);
insert into backlog (tenant, agent, shard, waiting)
  select tenant, agent, 0, count(*) from task where kind = 'agent' and state in ('queued', 'delayed')
  group by tenant, agent;

create function task_counts_in_backlog() returns trigger language plpgsql as $$
declare
  change integer := 0;
  one    task%rowtype;
begin
  if tg_op <> 'INSERT' then
    one := old;
    if old.kind = 'agent' and old.state in ('queued', 'delayed') then
      change := change - 1;
    end if;
  end if;
  if tg_op <> 'DELETE' then
    one := new;
    if new.kind = 'agent' and new.state in ('queued', 'delayed') then
      change := change + 1;
    end if;
  end if;
  if change <> 0 then
    insert into backlog as b (tenant, agent, shard, waiting)
      values (one.tenant, one.agent, pg_backend_pid() % 16, change)
      on conflict (tenant, agent, shard) do update set waiting = b.waiting + excluded.waiting;
  end if;
  return null;
end
$$;
create trigger task_backlog after insert or delete or update of state on task
  for each row execute function task_counts_in_backlog();

grant select, insert, update, delete on backlog to interlock_app;
