"""What people see of jobs, crons and workers: tables, frames and views that are drawn again."""
