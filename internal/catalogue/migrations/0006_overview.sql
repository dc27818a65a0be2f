-- For a site's next run, and for how its last task ended.
CREATE INDEX schedule_states_site ON schedule_states (site);
CREATE INDEX tasks_ended ON tasks (site, seq, state) WHERE finished_at <> 0;
