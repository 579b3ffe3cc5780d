"""Clusters: deployed applications, the jobs that change them, and the plans that jobs carry out."""
