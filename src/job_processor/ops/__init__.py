"""What people and probes ask of the whole: how it stands, whether it can work, who did what."""
