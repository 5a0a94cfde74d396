import { startPage } from '../kit/Start.tsx';
import { Dashboard } from './Dashboard.tsx';
import './dashboard.css';

startPage('dashboard', (who) => <Dashboard who={who} />);
