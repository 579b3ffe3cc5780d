"""Amazon Web Services: EC2 and EBS in a VPC, Lambda through CloudFormation.

Where to look: ``driver`` (the provider), a module a capability beside it (``machines``, ``volumes``, …),
``client`` (the calls), ``mapping`` (AWS's answers to resources), ``errors``.
"""
