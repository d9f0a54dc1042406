"""What the admin's journey page is made of: the form, the flow chart, the funnel, the trial."""
