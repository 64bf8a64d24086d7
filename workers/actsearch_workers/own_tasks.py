"""A worker ends the tasks of the queue that it has, and none that went to another worker meanwhile."""

from __future__ import annotations

from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

_FINISH = """
    WITH own AS (SELECT id FROM procrastinate_jobs
                 WHERE id = %(job)s AND worker_id = %(worker)s AND status = 'doing' FOR UPDATE)
    SELECT procrastinate_finish_job_v1(id, %(status)s, %(delete)s) FROM own
"""


class OwnTasks(JobManager):
    """Procrastinate's, which would end whatever has the task's id: the work of the worker that took it over."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a task as it was fetched; nothing happens if it went to another worker, or was ended by one."""
        values = {"job": job.id, "worker": job.worker_id, "status": status.value, "delete": delete_job}
        await self.connector.execute_query_async(_FINISH, **values)
