"""Jobs in MongoDB, in documents that the Node package `job-processor` shares."""

from job_processor.store.mongo.store import MongoStore, open_mongo

__all__ = ["MongoStore", "open_mongo"]
