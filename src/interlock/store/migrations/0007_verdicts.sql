-- How many results of a task were not accepted: so many steps up, among the models of its agent, is its next run.
alter table task add column rung int not null default 0 check (rung >= 0);
