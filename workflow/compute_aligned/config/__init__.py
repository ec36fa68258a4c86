"""The configuration: read, checked, resolved into what each job gets."""
