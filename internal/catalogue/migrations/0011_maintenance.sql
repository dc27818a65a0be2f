-- How visitors are kept out behind a virtual host of the operator's; empty: see model.MaintenanceAuto.
ALTER TABLE sites ADD COLUMN maintenance TEXT NOT NULL DEFAULT '';
