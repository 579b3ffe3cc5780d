"""A real control plane of Kubernetes on the loopback, and a stand-in for what runs the pods.

Where to look: ``build`` (its programs, made once from Debian's sources), ``plane`` (starting and stopping
it), ``node`` (the stand-in for kubelet and Knative), ``knative`` (the definitions of Knative's objects).
"""
