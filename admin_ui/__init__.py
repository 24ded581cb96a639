"""Pages for administrators and auditors."""
