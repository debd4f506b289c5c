import { render } from 'preact';
import { Reports } from './report/page.tsx';

const page = document.getElementById('page');
if (page) render(<Reports page={page} />, page);
