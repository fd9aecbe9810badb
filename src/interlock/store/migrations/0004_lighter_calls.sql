-- The start of a call reserves with one write for each allowance instead of two, and adding to the audit keeps its plans:
-- a function in the language sql is planned anew at each use, before PostgreSQL 18.

create or replace function call_start(
  in_task uuid, in_epoch bigint, in_call uuid, in_approval uuid, in_scopes text[], in_claims jsonb,
  in_beyond boolean, in_row jsonb, in_before bytea, in_audit jsonb, in_body bytea, in_at timestamptz
) returns jsonb language plpgsql as $$
declare
  present text;
  stop    record;
  agreed  approval%rowtype;
  claim   record;
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
    if in_beyond or claim.amount <= claim.cap then
      insert into allowance as a (scope, resource, window_at, cap, reserved)
        values (claim.scope, claim.resource, claim.window_at, claim.cap, claim.amount)
        on conflict (scope, resource, window_at) do update
          set cap = excluded.cap, reserved = a.reserved + excluded.reserved
          where in_beyond or a.used + a.reserved + excluded.reserved <= excluded.cap;
    end if;
    if not found or not (in_beyond or claim.amount <= claim.cap) then
      update allowance a set reserved = a.reserved - c.amount  -- those that came before it
        from jsonb_to_recordset(in_claims) as c(scope text, resource text, window_at timestamptz, amount double precision)
        where a.scope = c.scope and a.resource = c.resource and a.window_at = c.window_at
          and (c.scope, c.resource, c.window_at) < (claim.scope, claim.resource, claim.window_at);
      return jsonb_build_object('verdict', 'over', 'resource', claim.resource, 'cap', claim.cap);
    end if;
  end loop;
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

create or replace function audit_add(in_audit jsonb, in_task uuid, in_body bytea, in_at timestamptz)
returns void language plpgsql as $$
declare
  in_id uuid := in_audit->>'id';
begin
  insert into audit_record (id, tenant, at, event, task_id, body)
    values (in_id, in_audit->>'tenant', in_at, in_audit->>'event', in_task, in_body);
  insert into audit_waiting (record_id, tenant) values (in_id, in_audit->>'tenant');
end
$$;
