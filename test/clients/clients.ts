import type { Client } from './client.ts';
import { awscli1, awscli2 } from './drivers/awscli.ts';
import { goSdk } from './drivers/go.ts';
import { javascript } from './drivers/javascript.ts';
import { boto3, minio } from './drivers/python.ts';
import { rclone } from './drivers/rclone.ts';
import { s3cmd } from './drivers/s3cmd.ts';

/** The clients, in the order of the page. */
export const clients: Client[] = [awscli1, awscli2, boto3, goSdk, javascript, rclone, s3cmd, minio];

/** Regions of the checks: the one without a location constraint, and one with it. */
export const REGIONS = ['us-east-1', 'eu-central-1'];
