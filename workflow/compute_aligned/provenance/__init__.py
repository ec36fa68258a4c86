"""What made each artifact: hashes, manifests, the frame of a job, the audit."""
