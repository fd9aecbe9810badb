-- From when on a worker has been at a task that it holds, by the database's clock: what is not in worked_s yet. When the
-- worker dies, whoever takes the task over counts from here to its last sign of life.
alter table task add column working_since timestamptz;
