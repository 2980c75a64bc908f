"""A job, before and after it runs: asked for, stored, chosen, acted on, waited for."""
