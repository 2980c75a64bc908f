"""A newsletter: mail with retries, one issue at a time with a progress bar, a nightly report."""

import os
import smtplib
from datetime import timedelta
from email.message import EmailMessage
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException, Path
from fastapi.responses import HTMLResponse

from job_processor import Context, JobProcessor, Retry
from job_processor.integrations.starlette import lifespan

EDITOR, SMTP = "editor@news.example", os.environ.get("SMTP", "localhost:25")
processor = JobProcessor("sqlite:///newsletter.db")
app = FastAPI(lifespan=lifespan(processor))  # with a worker in the same process


@processor.job(retry=Retry(max_attempts=8, delay=timedelta(seconds=2), retry_on=OSError))
def send_mail(to: str, subject: str, text: str = "") -> None:  # plain: it runs in a thread
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = EDITOR, to, subject
    mail.set_content(text)
    with smtplib.SMTP(SMTP, timeout=10) as server:
        server.send_message(mail)


@processor.job(exclusive=True)  # one issue at a time
async def send_issue(context: Context, text: str, readers: list[str]) -> int:
    for number, reader in enumerate(readers, start=1):
        key = f"{context.job.id} {reader}"
        once = send_mail.options(unique_key=key, unique_for=timedelta(days=1))
        await once.schedule(to=reader, subject="The news", text=text)
        context.progress(number / len(readers), f"to {reader}")
    return len(readers)


@processor.cron("0 2 * * *", timezone="Europe/Paris")
async def nightly_report() -> None:
    lost = await processor.count_jobs(name="send_mail", status="errored")
    await send_mail.schedule(to=EDITOR, subject=f"{lost} mails were lost")


@app.post("/issues", status_code=202)
async def publish(text: Annotated[str, Body()], readers: Annotated[list[str], Body()]) -> dict:
    job = await send_issue.schedule(text=text, readers=readers)
    if job.status == "skipped":
        raise HTTPException(409, "another issue is on its way")
    return {"follow": f"/issues/{job.id}"}


@app.get("/issues/{job_id}", response_class=HTMLResponse)
async def follow(job_id: Annotated[str, Path(pattern="^[0-9a-f]{24}$")]) -> str:
    job = await processor.get_job(job_id)
    if job is None:
        raise HTTPException(404, "no such issue")
    done = job.progress.fraction if job.progress else 0
    bar = f'<progress value="{done}"></progress> {job.status}'
    return f'<meta http-equiv="refresh" content="1">{bar}'
