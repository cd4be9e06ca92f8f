"""Charts as SVG, shared by reports and pages."""
