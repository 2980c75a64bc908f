"""The Node package beside us on one database: its crons, its rules, the move away from it."""
