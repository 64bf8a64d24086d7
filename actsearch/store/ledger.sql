-- What a runner and the reconciler say to the database. Each statement has a name, and a test of its plan.
-- `runs` stands for `trials` or for `evaluations`: both have these columns. A run is its runner's as long as the row is
-- `running` with the `attempt` that was claimed, and every write checks that.

-- name: job
-- Locked, so that all runners together never exceed the budget. Locks are taken in the order jobs, queue, runs.
SELECT study_id, budget_trials, state, direction, coalesce(request -> 'budget', '{}') AS budget
FROM jobs WHERE id = :job FOR UPDATE

-- name: fence
-- Until the claim is committed, nobody hands the task to another worker.
SELECT 1 FROM procrastinate_jobs WHERE id = :runner AND attempts = :lease AND status = 'doing' FOR SHARE

-- name: at_work
SELECT count(*) FROM procrastinate_jobs
WHERE task_name = 'run_job' AND status = 'doing' AND args ->> 'job_id' = :job

-- name: left_to_claim
SELECT s.next_number, count(t.id) AS unfinished,
       count(t.id) FILTER (WHERE t.state = 'waiting') AS waiting,
       min(t.cohort) FILTER (WHERE t.state = 'waiting') AS given_back,
       min(t.number) FILTER (WHERE t.state = 'waiting') AS first_waiting
FROM studies s LEFT JOIN trials t ON t.study_id = s.id AND t.state IN ('waiting', 'running')
WHERE s.id = :study GROUP BY s.next_number

-- name: claim_given_back
UPDATE trials SET state = 'running', runner = :runner, worker = :worker, started_at = now()
WHERE study_id = :study AND state = 'waiting' AND cohort = :cohort
RETURNING id, attempt, number, cohort, activations, params, most_together, released

-- name: claim_planned
-- Trials that wait since the job was created: the baseline.
UPDATE trials SET state = 'running', runner = :runner, worker = :worker, started_at = now(), cohort = :cohort
WHERE id IN (SELECT id FROM trials WHERE study_id = :study AND state = 'waiting' AND cohort IS NULL
             ORDER BY number LIMIT :most)
RETURNING id, attempt, number, cohort, activations, params, most_together, released

-- name: next_numbers
UPDATE studies SET next_number = next_number + :count WHERE id = :study RETURNING next_number - :count

-- name: claim_new
INSERT INTO trials (uid, study_id, number, state, runner, worker, started_at, cohort)
SELECT uid, :study, :first + place - 1, 'running', :runner, :worker, now(), :cohort
FROM unnest(CAST(:uids AS uuid[])) WITH ORDINALITY AS fresh(uid, place)
RETURNING id, attempt, number, cohort, activations, params, most_together, released

-- name: propose
UPDATE trials t SET family = c.family, activations = c.activations, is_baseline = t.is_baseline OR c.is_baseline
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS c(id bigint, attempt int, family text, activations jsonb, is_baseline bool)
WHERE t.id = c.id AND t.attempt = c.attempt AND t.state = 'running'

-- name: forget
-- What pruners remember of an interrupted attempt goes; what was proposed stays.
UPDATE trials t SET intermediate = '{}',
    system_attrs = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(t.system_attrs)
                    WHERE key NOT LIKE 'completed_rung_%')
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS c(id bigint, attempt int)
WHERE t.id = c.id AND t.attempt = c.attempt AND t.state = 'running'
    AND (t.intermediate <> '{}' OR CAST(t.system_attrs AS text) LIKE '%completed_rung_%')

-- name: plan
INSERT INTO evaluations (uid, job_id, study_id, arm, trial_id, twin, replicate, seed, state)
SELECT c.uid, :job, t.study_id, c.arm, t.id, c.twin, c.replicate, c.seed, 'waiting'
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS c(uid uuid, arm int, trial uuid, twin bool, replicate int, seed int)
JOIN trials t ON t.uid = c.trial
ORDER BY c.replicate, c.arm
ON CONFLICT (job_id, replicate, arm) DO NOTHING

-- name: claim_seed
-- All arms of the next seed that waits, so that they train side by side.
UPDATE evaluations e SET state = 'running', runner = :runner, worker = :worker, started_at = now()
FROM trials t
WHERE t.id = e.trial_id AND e.job_id = :job AND e.state = 'waiting' AND e.replicate = (
    SELECT min(w.replicate) FROM evaluations w WHERE w.job_id = :job AND w.state = 'waiting')
RETURNING e.id, e.attempt, e.arm, e.replicate, t.activations, t.params, e.most_together, e.released, e.seed, e.twin

-- name: start
WITH c AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS c(id bigint, attempt int, place int)
), training AS (
    INSERT INTO trainings (study_id) SELECT r.study_id FROM runs r JOIN c USING (id) LIMIT 1 RETURNING id
)
UPDATE runs r SET together = coalesce(CAST(:together AS int), r.together), training = training.id, place = c.place
FROM c, training
WHERE r.id = c.id AND r.attempt = c.attempt AND r.state = 'running'
    AND set_config('synchronous_commit', 'off', true) = 'off'

-- name: standing
SELECT r.id, r.training, r.place, t.names
FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[])) AS c(id, attempt)
JOIN runs r ON r.id = c.id AND r.attempt = c.attempt LEFT JOIN trainings t ON t.id = r.training
WHERE r.state = 'running'

-- name: name_metrics
-- Names are only ever added at the end, so that earlier points keep theirs.
UPDATE trainings SET names = :names WHERE id = :training

-- name: append
-- Not flushed to disk at once: a crash of PostgreSQL may cost a run's last moments, never a finished run.
INSERT INTO points (training, epoch, places, values, told)
SELECT :training, :epoch, CAST(:places AS smallint[]), CAST(:values AS float8[]), CAST(:told AS float8[])
WHERE set_config('synchronous_commit', 'off', true) = 'off'

-- name: finish
UPDATE runs r SET state = c.state, value = CAST(c.values ->> 0 AS float8),
    values = CASE WHEN jsonb_array_length(c.values) > 0
             THEN ARRAY(SELECT CAST(v AS float8) FROM jsonb_array_elements_text(c.values) v) END,
    metrics = c.metrics, failure_reason = c.reason, failure_detail = c.detail, finished_at = now(), together = NULL
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS c(id bigint, attempt int, state text, values jsonb, metrics jsonb, reason text, detail text)
WHERE r.id = c.id AND r.attempt = c.attempt AND r.state = 'running'
RETURNING r.id

-- name: release
UPDATE runs r SET state = 'waiting', started_at = NULL, runner = NULL, together = NULL, released = released + 1
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS c(id bigint, attempt int)
WHERE r.id = c.id AND r.attempt = c.attempt AND r.state = 'running'

-- name: held
SELECT id FROM runs
WHERE state = 'running' AND runner = :runner AND worker = coalesce(CAST(:worker AS text), worker) FOR UPDATE

-- name: orphans
SELECT r.id FROM runs r
WHERE r.state = 'running' AND r.runner IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs q WHERE q.id = r.runner AND q.task_name = 'run_job' AND q.status = 'doing')
FOR UPDATE

-- name: give_back
-- What ended while it trained alone has used up a try. What trained with others is trained as before, and in halves
-- from its second crash on, so that only the culprit will ever be alone.
WITH crashed AS (
    SELECT id, together, CAST(:blamed AS bool) AND together = 1 AS alone,
           CAST(:blamed AS bool) AND together = 1 AND faults + 1 >= :tries AS lost,
           CAST(:blamed AS bool) AND together > 1 AND attempt > 1 AS halved
    FROM runs WHERE id = ANY(:ids))
UPDATE runs r SET
    state = CASE WHEN c.lost THEN 'failed' ELSE 'waiting' END,
    failure_reason = CASE WHEN c.lost THEN 'lost' END,
    failure_detail = CASE WHEN c.lost
        THEN 'the process died ' || r.faults + 1 || ' times while it trained this alone' END,
    finished_at = CASE WHEN c.lost THEN now() END,
    started_at = CASE WHEN c.lost THEN r.started_at END,
    attempt = r.attempt + CASE WHEN c.lost OR NOT CAST(:blamed AS bool) THEN 0 ELSE 1 END,
    faults = r.faults + CASE WHEN c.alone THEN 1 ELSE 0 END,
    most_together = CASE WHEN c.halved THEN (c.together + 1) / 2 ELSE r.most_together END,
    runner = NULL, together = NULL
FROM crashed c WHERE r.id = c.id AND r.state = 'running'

-- name: fail_cancelled
UPDATE runs r SET state = 'failed', failure_reason = 'cancelled',
    failure_detail = CASE j.state WHEN 'failed' THEN 'the job failed' ELSE 'the job was cancelled' END,
    finished_at = now()
FROM jobs j WHERE j.study_id = r.study_id AND j.state IN ('cancelled', 'failed') AND r.state = 'waiting'

-- name: remaining
SELECT (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state IN ('running', 'waiting')) AS open,
       coalesce((SELECT k.complete FROM tallies k WHERE k.study_id = j.study_id), 0) AS complete,
       j.budget_trials - s.next_number AS unclaimed, CAST(j.request #>> '{budget,trials}' AS int) AS asked, j.state
FROM jobs j JOIN studies s ON s.id = j.study_id WHERE j.id = :job

-- name: tally
-- The best is the first trial, by the time it ended, that reached the best value.
SELECT extract(epoch FROM clock_timestamp() - j.started_at) AS seconds,
    CASE WHEN j.request #>> '{budget,device_seconds}' IS NOT NULL THEN
        (SELECT k.device_seconds FROM tallies k WHERE k.study_id = j.study_id)
    END AS device_seconds,
    best.value AS best,
    CASE WHEN j.request #>> '{budget,patience}' IS NOT NULL THEN
        (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state IN ('complete', 'pruned', 'failed')
         AND (t.finished_at, t.number) > (best.finished_at, best.number))
    END AS since_best
FROM jobs j LEFT JOIN LATERAL (
    (SELECT t.value, t.finished_at, t.number FROM trials t
     WHERE j.direction = 'maximize' AND t.study_id = j.study_id AND t.state = 'complete'
         AND t.value > '-Infinity' AND t.value < 'Infinity'
     ORDER BY t.value DESC, t.finished_at, t.number LIMIT 1)
    UNION ALL
    (SELECT t.value, t.finished_at, t.number FROM trials t
     WHERE j.direction = 'minimize' AND t.study_id = j.study_id AND t.state = 'complete'
         AND t.value > '-Infinity' AND t.value < 'Infinity'
     ORDER BY t.value, t.finished_at, t.number LIMIT 1)) best ON TRUE
WHERE j.id = :job

-- name: stop
-- A search that stops shrinks its budget to the trials begun: every other statement about budgets stays true.
UPDATE jobs j SET stopped_by = :rule, budget_trials = s.next_number
FROM studies s WHERE s.id = j.study_id AND j.id = :job AND j.state = 'running' AND s.next_number < j.budget_trials

-- name: arms
SELECT t.uid, e.twin FROM evaluations e JOIN trials t ON t.id = e.trial_id
WHERE e.job_id = :job AND e.replicate = 0 ORDER BY e.arm

-- name: results
SELECT e.arm, e.replicate, e.seed, e.state, e.failure_reason, e.metrics
FROM evaluations e JOIN jobs j ON j.id = e.job_id
WHERE e.job_id = :job AND j.state = 'confirming' ORDER BY e.replicate, e.arm
