-- The two commits of a call, each as one statement, so that a call costs two round trips and not twenty. They check
-- everything first and write only when all of it holds; otherwise they say why not, and nothing is written.

create function call_start(
  in_task uuid, in_epoch bigint, in_call uuid, in_approval uuid, in_scopes text[], in_claims jsonb,
  in_beyond boolean, in_row jsonb, in_before bytea, in_audit jsonb, in_body bytea, in_at timestamptz
) returns jsonb language plpgsql as $$
declare
  present text;
  stop    record;
  agreed  approval%rowtype;
  claim   record;
  room    double precision;
begin
  perform 1 from task where id = in_task and epoch = in_epoch for update;
  if not found then
    return jsonb_build_object('verdict', 'fenced');
  end if;
  select state into present from call where id = in_call for update;
  if present is null or present not in ('proposed', 'approved') then
    return jsonb_build_object('verdict', 'conflict', 'state', coalesce(present, 'gone'));
  end if;
  select h.scope, h."by" as who, h.reason into stop from halt h where h.scope = any(in_scopes) order by h.scope limit 1;
  if found then
    return jsonb_build_object('verdict', 'halted', 'scope', stop.scope, 'by', stop.who, 'reason', stop.reason);
  end if;
  if in_approval is not null then
    select * into agreed from approval where id = in_approval for update;
    if agreed.state is distinct from 'approved' then
      return jsonb_build_object('verdict', 'approval', 'state', coalesce(agreed.state, 'gone'));
    end if;
    if agreed.expires_at <= in_at then
      return jsonb_build_object('verdict', 'approval', 'state', 'too old');
    end if;
  end if;
  -- Rows are locked in one order, so that two workers never wait for each other.
  for claim in
    select * from jsonb_to_recordset(in_claims)
      as c(scope text, resource text, window_at timestamptz, amount double precision, cap double precision)
      order by scope, resource, window_at
  loop
    insert into allowance as a (scope, resource, window_at, cap)
      values (claim.scope, claim.resource, claim.window_at, claim.cap)
      on conflict (scope, resource, window_at) do update set cap = excluded.cap
      returning a.cap - a.used - a.reserved into room;
    if room < claim.amount and not in_beyond then
      return jsonb_build_object('verdict', 'over', 'resource', claim.resource, 'cap', claim.cap);
    end if;
  end loop;
  update allowance a set reserved = a.reserved + c.amount
    from jsonb_to_recordset(in_claims) as c(scope text, resource text, window_at timestamptz, amount double precision)
    where a.scope = c.scope and a.resource = c.resource and a.window_at = c.window_at;
  update approval set state = 'consumed' where id = in_approval;
  update call set state = 'started', started_at = in_at, epoch = in_epoch, before = in_before,
      approval_id = in_approval, class = in_row->>'class', egress = (in_row->>'egress')::boolean,
      decision = in_row->>'decision', rules = in_row->'rules', reasons = in_row->'reasons',
      plan_entry = in_row->>'plan_entry', pin_sha256 = in_row->>'pin_sha256', host = in_row->>'host',
      served_by = in_row->>'served_by'
    where id = in_call;
  perform audit_add(in_audit, in_task, in_body, in_at);
  return jsonb_build_object('verdict', 'ok');
end
$$;

create function call_finish(
  in_task uuid, in_epoch bigint, in_call uuid, in_state text, in_result bytea, in_effect bytea, in_claims jsonb,
  in_taint boolean, in_counter jsonb, in_audit jsonb, in_body bytea, in_at timestamptz
) returns jsonb language plpgsql as $$
begin
  perform 1 from task where id = in_task and epoch = in_epoch for update;
  if not found then
    return jsonb_build_object('verdict', 'fenced');
  end if;
  -- The outcome of a read need not wait for the disk: what the agent is told of it is written after it, and does. If
  -- this is lost before that, the call is open, and a read is simply made again.
  if in_counter->'labels'->>'action' = 'read' then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  update call set state = in_state, ended_at = in_at, result = in_result, effect = in_effect where id = in_call;
  update allowance a set reserved = greatest(0, a.reserved - c.amount), used = a.used + c.actual
    from jsonb_to_recordset(in_claims)
      as c(scope text, resource text, window_at timestamptz, amount double precision, actual double precision)
    where a.scope = c.scope and a.resource = c.resource and a.window_at = c.window_at;
  if in_taint then
    update task set tainted = true where id = in_task and not tainted;
  end if;
  perform audit_add(in_audit, in_task, in_body, in_at);
  -- Many workers count at the same time: each session has one of a few rows of a counter.
  insert into metric_counter as m (name, labels, shard, value)
    values (in_counter->>'name', in_counter->'labels', pg_backend_pid() % 8, 1)
    on conflict (name, labels, shard) do update set value = m.value + excluded.value;
  return jsonb_build_object('verdict', 'ok');
end
$$;

create function audit_add(in_audit jsonb, in_task uuid, in_body bytea, in_at timestamptz)
returns void language sql as $$
  insert into audit_record (id, tenant, at, event, task_id, body)
    values ((in_audit->>'id')::uuid, in_audit->>'tenant', in_at, in_audit->>'event', in_task, in_body);
  insert into audit_waiting (record_id, tenant) values ((in_audit->>'id')::uuid, in_audit->>'tenant');
$$;

alter table metric_counter add column shard smallint not null default 0;
alter table metric_counter drop constraint metric_counter_pkey, add primary key (name, labels, shard);
