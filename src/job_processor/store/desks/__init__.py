"""What a database does for us: sixteen desks, one for each noun, the same on every store.

Each verb says from which states to which it goes and what it returns when it lost. No verb reads a
status and then writes it: the guard is part of the write. Every verb raises StoreRefusedError when
the database can never store what it was given (nothing of that happened), StoreUnavailableError
when it did not answer, and StoreError for whatever else it says: after both it may or may not have
happened, and each verb says why a repetition is harmless.

What is the same on every database is written here, once: that there is nothing to do, and who is to
be told of what was done. What differs is the abstract part: the verb itself or, where it has such a
frame, the function of its name with an underscore in front.
"""
